//! The image, and the examples that run it. What is ignored needs a container engine and the image:
//! `tests/containers/run` has both.

mod balancer;
mod compose;
mod container;
mod image;
mod project;
mod resources;
mod systemd;
