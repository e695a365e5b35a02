//! The Hewn inference engine.
