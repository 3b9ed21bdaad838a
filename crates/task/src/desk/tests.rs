//! The owner's side against a job process that is a thread.
