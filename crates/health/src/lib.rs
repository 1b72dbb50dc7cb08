//! Status of an object: kstatus and CEL.
