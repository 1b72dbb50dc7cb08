//! The name of a release and its chart, by Helm's rules, as `install` and `template` take them.

use anyhow::bail;
use helm::NoCluster;

/// A name and a chart.
#[derive(clap::Args)]
pub struct NameFlags {
    /// A name and a chart, or the chart alone
    #[arg(required = true, num_args = 1.., value_name = "NAME CHART")]
    words: Vec<String>,
    /// Make up a name
    #[arg(short, long)]
    pub generate_name: bool,
    /// A template for the name
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,
}

impl NameFlags {
    /// The name and the chart; `unnamed` names a release of a chart that came alone, without a template.
    pub fn read(
        &self,
        verb: &str,
        world: &NoCluster,
        unnamed: impl FnOnce(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<(String, String)> {
        match self.words.as_slice() {
            [name, chart] => {
                if self.generate_name {
                    bail!("cannot set --generate-name and also specify a name");
                }
                if self.name_template.is_some() {
                    bail!("cannot set --name-template and also specify a name");
                }
                Ok((name.clone(), chart.clone()))
            }
            [chart] => {
                let name = match &self.name_template {
                    Some(template) => helm::release_name(template, world)?,
                    None => unnamed(chart)?,
                };
                Ok((name, chart.clone()))
            }
            [_, _, rest @ ..] => {
                bail!("expected at most two arguments, unexpected arguments: {}", rest.join(", "))
            }
            [] => bail!("\"helm {verb}\" requires at least 1 argument"),
        }
    }
}
