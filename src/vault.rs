//! The vault: where the address of a reporter lies, sealed when a key is configured.
