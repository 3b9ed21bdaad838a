//! Workers that do what no Node process does.
