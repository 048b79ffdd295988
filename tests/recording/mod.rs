//! The relay records, then answers: whatever becomes of it, of its disk and of its file.

mod contents;
mod crashes;
mod failures;
mod files;
mod witnesses;
