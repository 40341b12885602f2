//! Behaviours of the whole, one file each, in one binary.

mod store_contract;
mod store_embedded;
