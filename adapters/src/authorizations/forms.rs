//! How each value is written: JSON of structs that only this file knows.
