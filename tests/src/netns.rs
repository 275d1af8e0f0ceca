//! Network namespaces that are gone when a test ends.
