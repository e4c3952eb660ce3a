//! Which entries the user wants.
