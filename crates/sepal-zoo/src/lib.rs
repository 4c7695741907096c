//! Blocks and networks of separable convolutions, and their registry.
