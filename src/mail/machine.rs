//! Letters that a machine wrote.
