//! What holds for every input, tried with inputs that nobody chose.

mod approvals;
mod checks;
mod components;
mod conditions;
mod hostile;
mod matching;
mod parsers;
mod paths;
mod replay;
mod seeds;
mod structured_fields;
mod tampering;
mod tlog;
