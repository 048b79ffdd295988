//! What holds for every input, tried with inputs that nobody chose.

mod checks;
mod components;
mod hostile;
mod parsers;
mod paths;
mod replay;
mod seeds;
mod structured_fields;
mod tampering;
