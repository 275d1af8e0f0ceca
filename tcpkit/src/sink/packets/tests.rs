//! Lines of hand-made frames, and what holds for the lines of all frames.
