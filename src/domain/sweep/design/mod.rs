//! Designs: how points are generated.
