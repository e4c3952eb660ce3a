//! The doors between the roles and the world: one trait a file, in domain words.
