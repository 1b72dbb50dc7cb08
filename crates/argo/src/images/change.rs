//! What new images make of a source. Pure.

use delivery::fields::{list_at, str_at, strings_at};
use object::{Value, get};
use serde_json::json;

use super::tags::Tag;
use super::wanted::Wanted;
use delivery::images::address;

/// An image that is to be another.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which.
    pub image: Wanted,
    /// The tag or the digest that runs; empty when it does not.
    pub before: String,
    /// The new one.
    pub tag: Tag,
}

impl Change {
    /// For people.
    pub fn line(&self) -> String {
        format!(
            "{}: {} to {}",
            self.image.name,
            if self.before.is_empty() { "-" } else { &self.before },
            self.tag.text()
        )
    }

    /// The image with its tag and digest.
    fn full(&self) -> String {
        let at = if self.tag.digest.is_empty() { String::new() } else { format!("@{}", self.tag.digest) };
        format!("{}:{}{at}", self.image.name, self.tag.name)
    }

    /// The tag with the digest.
    fn tag(&self) -> String {
        if self.tag.digest.is_empty() {
            return self.tag.name.clone();
        }
        format!("{}@{}", self.tag.name, self.tag.digest)
    }

    /// As `kustomize edit set image` takes it.
    pub fn kustomize(&self) -> String {
        match self.image.kustomize_name.as_str() {
            "" => self.full(),
            name => format!("{name}={}", self.full()),
        }
    }

    /// The entry of a kustomization's `images`: its name, and its fields, `None` for those that go.
    pub fn entry(&self) -> (&str, [(&'static str, Option<&str>); 3]) {
        let own = self.image.name.as_str();
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let (name, renamed) = match self.image.kustomize_name.as_str() {
            "" => (own, None),
            other => (other, some(own)),
        };
        let fields =
            [("newName", renamed), ("newTag", some(&self.tag.name)), ("digest", some(&self.tag.digest))];
        (name, fields)
    }

    /// Parameters of a chart.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let helm = &self.image.helm;
        if !helm.spec.is_empty() {
            return vec![(helm.spec.clone(), self.full())];
        }
        let or =
            |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
        vec![
            (or(&helm.name, "image.name"), self.image.name.clone()),
            (or(&helm.tag, "image.tag"), self.tag()),
        ]
    }
}

/// What makes the source's objects, as far as images can be set there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// By parameters.
    Helm,
    /// By `images`.
    Kustomize,
}

/// The source of an Application whose images are set.
#[derive(Debug, Clone)]
pub struct Place {
    /// Among several sources; `None` for the only one.
    pub at: Option<usize>,
    /// The source.
    pub source: Value,
    /// What makes its objects.
    pub tool: Tool,
}

impl Place {
    /// The first source of an Application that is a chart or a kustomization.
    ///
    /// # Errors
    /// When none is.
    pub fn of(application: &Value) -> Result<Place, String> {
        let many = list_at(application, &["spec", "sources"]);
        let types = match many.is_empty() {
            true => vec![str_at(application, &["status", "sourceType"]).to_owned()],
            false => strings_at(application, &["status", "sourceTypes"]),
        };
        let one: Vec<Value> = get(application, &["spec", "source"]).into_iter().cloned().collect();
        let sources = if many.is_empty() { &one } else { many };
        // A source that only lends files has no type.
        let making = sources.iter().enumerate().filter(|(_, source)| {
            str_at(source, &["ref"]).is_empty()
                || !str_at(source, &["path"]).is_empty()
                || !str_at(source, &["chart"]).is_empty()
        });
        for ((at, source), kind) in making.zip(&types) {
            let tool = match kind.as_str() {
                "Helm" => Tool::Helm,
                "Kustomize" => Tool::Kustomize,
                _ => continue,
            };
            let at = (!many.is_empty()).then_some(at);
            return Ok(Place { at, source: source.clone(), tool });
        }
        Err(format!("images are set in charts and kustomizations; this is {:?}", types.join(", ")))
    }

    /// The field of the source that is set, with `changes` made in what stands there now.
    pub fn block(&self, now: &Value, changes: &[Change]) -> Value {
        match self.tool {
            Tool::Kustomize => {
                let mut images = strings_at(now, &["kustomize", "images"]);
                for change in changes {
                    let wanted = change.kustomize();
                    let same = |image: &String| origin(image) == origin(&wanted);
                    match images.iter_mut().find(|image| same(image)) {
                        Some(image) => *image = wanted,
                        None => images.push(wanted),
                    }
                }
                json!({"kustomize": {"images": images}})
            }
            Tool::Helm => {
                let mut parameters = list_at(now, &["helm", "parameters"]).to_vec();
                for (name, value) in changes.iter().flat_map(Change::parameters) {
                    let wanted = json!({"name": name, "value": value, "forceString": true});
                    match parameters.iter_mut().find(|parameter| str_at(parameter, &["name"]) == name) {
                        Some(parameter) => *parameter = wanted,
                        None => parameters.push(wanted),
                    }
                }
                json!({"helm": {"parameters": parameters}})
            }
        }
    }
}

/// The image that an entry of `images` is about.
fn origin(image: &str) -> String {
    let name = match image.split_once('=') {
        Some((name, _)) => name,
        None => {
            let name = image.split('@').next().unwrap_or(image);
            let after = name.rfind('/').map_or(0, |at| at + 1);
            let end = name.get(after..).and_then(|last| last.find(':')).map_or(name.len(), |at| after + at);
            name.get(..end).unwrap_or(name)
        }
    };
    address(name).unwrap_or_else(|_| name.to_owned())
}
