//! What scripts get, may do and may not do.
