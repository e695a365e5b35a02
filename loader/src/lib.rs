//! GGUF files, memory-mapped and checked, as typed views.
