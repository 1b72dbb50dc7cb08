//! Execution.
use crate::env::Env;
use crate::error::ExecError;
use crate::parse::Tree;
use crate::templates::Templates;
use crate::value::Value;
pub(crate) fn execute(_: &Templates, tree: &Tree, _: &Value, _: &mut Env<'_>, _: &mut Vec<u8>) -> Result<(), ExecError> {
    Err(ExecError::limit(&tree.name, "not built yet".into()))
}
