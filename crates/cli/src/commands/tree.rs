//! `landfall tree`: what each object brought, down to the pods.

use super::{look, named};
use crate::errors::usage;
use crate::target::Target;
use crate::views::tree::{Node, lines};
use crate::views::{Output, colours, live, mark, structured};
use cluster::{Cluster, ErrorKind, ListOptions};
use controller::{ObjectRef, Phase, Ready, Snapshot, Unit};
use health::Status;
use object::{Gvk, Key, Value, meta};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Arguments of `landfall tree`.
#[derive(clap::Args)]
pub struct Args {
    /// KIND/NAME or KIND NAME [default: everything]
    objects: Vec<String>,
    /// The namespace [default: all]
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only the delivery objects, not what they applied
    #[arg(long)]
    compact: bool,
    /// The format (json and yaml give the same tree as data)
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// The kinds that workloads own; listed once for the whole tree.
const OWNED: &[(&str, &str, &str)] = &[
    ("apps", "v1", "ReplicaSet"),
    ("", "v1", "Pod"),
    ("batch", "v1", "Job"),
    ("", "v1", "PersistentVolumeClaim"),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
];

/// Builds and prints the tree.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (kind, names) = named::split(&args.objects)?;
    let cluster = Cluster::new(args.target.client().await?);
    let snapshot = look::snapshot(&cluster, None).await?;
    let chosen = |unit: &&Unit| {
        kind.is_none_or(|kind| kind.kind == unit.key.kind)
            && (names.is_empty() || names.contains(&unit.key.name))
            && args.namespace.as_ref().is_none_or(|namespace| *namespace == unit.key.namespace)
    };
    let everything = args.objects.is_empty() && args.namespace.is_none();
    let units: Vec<&Unit> =
        snapshot.units.iter().filter(chosen).filter(|unit| !everything || is_root(&snapshot, unit)).collect();
    if units.is_empty() && !names.is_empty() {
        return Err(usage(format!("{} is not there; see: landfall get", names.join(", "))));
    }
    let owned = if args.compact { BTreeMap::new() } else { owned(&cluster).await? };
    let mut branches = Vec::new();
    for unit in units {
        branches.push(unit_branch(&cluster, &snapshot, unit, &owned, args.compact, 0).await?);
    }
    if let Some(text) = structured(&Value::Array(branches.iter().map(Branch::data).collect()), args.output)? {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let colours = colours();
    let nodes: Vec<Node> = branches.iter().map(|branch| branch.node(colours)).collect();
    print!("{}", lines(&nodes));
    Ok(ExitCode::SUCCESS)
}

/// An object of the tree with its state.
struct Branch {
    key: Key,
    phase: Phase,
    note: String,
    children: Vec<Branch>,
}

impl Branch {
    fn node(&self, colours: bool) -> Node {
        let mark = mark(self.phase, colours);
        let line = format!("{mark} {}  {}", look::shown(&self.key), self.note).trim_end().to_owned();
        Node { line, children: self.children.iter().map(|child| child.node(colours)).collect() }
    }

    fn data(&self) -> Value {
        json!({
            "kind": self.key.kind, "group": self.key.group, "namespace": self.key.namespace,
            "name": self.key.name, "state": self.phase.as_str(), "note": self.note,
            "children": self.children.iter().map(Branch::data).collect::<Vec<_>>(),
        })
    }
}

fn is_root(snapshot: &Snapshot, unit: &Unit) -> bool {
    unit.parent
        .as_ref()
        .is_none_or(|parent| *parent == unit.key || !snapshot.units.iter().any(|other| other.key == *parent))
}

/// Every object with an owner, by the owner's uid.
async fn owned(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Vec<Value>>> {
    let mut by_owner: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (group, version, kind) in OWNED {
        let gvk = Gvk { group: (*group).into(), version: (*version).into(), kind: (*kind).into() };
        let found = match cluster.list(&gvk, &ListOptions::default()).await {
            Ok(found) => found,
            Err(error) if error.kind == ErrorKind::MissingKind => continue,
            Err(error) => return Err(error.into()),
        };
        for mut object in found {
            if let Some(map) = object.as_object_mut() {
                map.entry("kind").or_insert_with(|| json!(kind));
                map.entry("apiVersion").or_insert_with(|| json!(gvk.api_version()));
            }
            let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).cloned();
            for owner in owners.unwrap_or_default() {
                if let Some(uid) = owner.get("uid").and_then(Value::as_str) {
                    by_owner.entry(uid.to_owned()).or_default().push(object.clone());
                }
            }
        }
    }
    Ok(by_owner)
}

/// Units nest at most this deep; a ring of owners ends here.
const DEPTH_MAX: usize = 24;

async fn unit_branch(
    cluster: &Cluster,
    snapshot: &Snapshot,
    unit: &Unit,
    owned: &BTreeMap<String, Vec<Value>>,
    compact: bool,
    depth: usize,
) -> anyhow::Result<Branch> {
    let mut children = Vec::new();
    if depth < DEPTH_MAX {
        let there = if unit.elsewhere && !compact { Some(far(cluster, unit).await) } else { None };
        for entry in &unit.inventory {
            let same = |other: &&Unit| !unit.elsewhere && other.key == entry.key;
            let below = snapshot.units.iter().find(same);
            match below {
                Some(below) if below.key == unit.key => {}
                Some(below) => {
                    let branch = unit_branch(cluster, snapshot, below, owned, compact, depth + 1);
                    children.push(Box::pin(branch).await?);
                }
                None if compact => {}
                None => children.push(match &there {
                    None => object_branch(cluster, entry, owned).await?,
                    Some(Ok((far, owned))) => object_branch(far, entry, owned).await?,
                    Some(Err(why)) => Branch {
                        key: entry.key.clone(),
                        phase: unit.phase(),
                        note: format!("in another cluster: {why}"),
                        children: Vec::new(),
                    },
                }),
            }
        }
    }
    let note = if unit.suspended {
        "suspended".to_owned()
    } else if unit.ready == Ready::True {
        unit.revision.as_deref().map(live::short_revision).unwrap_or_default()
    } else {
        live::cause(snapshot, unit).unwrap_or_else(|| unit.message.clone())
    };
    Ok(Branch { key: unit.key.clone(), phase: unit.phase(), note, children })
}

type Owned = BTreeMap<String, Vec<Value>>;

/// The cluster that a unit delivers to, with what is owned there.
async fn far(cluster: &Cluster, unit: &Unit) -> Result<(Cluster, Owned), String> {
    let there = look::elsewhere(cluster, unit).await?;
    let owned = owned(&there).await.map_err(|error| error.to_string())?;
    Ok((there, owned))
}

async fn object_branch(
    cluster: &Cluster,
    entry: &ObjectRef,
    owned: &BTreeMap<String, Vec<Value>>,
) -> anyhow::Result<Branch> {
    match cluster.get(&entry.gvk(), &entry.key.namespace, &entry.key.name).await? {
        Some(object) => Ok(live_branch(entry.key.clone(), &object, owned, 0)),
        None => Ok(Branch {
            key: entry.key.clone(),
            phase: Phase::Failed,
            note: "is not there".into(),
            children: Vec::new(),
        }),
    }
}

fn live_branch(key: Key, object: &Value, owned: &BTreeMap<String, Vec<Value>>, depth: usize) -> Branch {
    let health = health::status(object, look::now());
    let phase = match health.status {
        Status::Current => Phase::Ready,
        Status::Failed => Phase::Failed,
        _ => Phase::Working,
    };
    let mut children: Vec<Branch> = Vec::new();
    if depth < DEPTH_MAX {
        for child in owned.get(meta::uid(object)).into_iter().flatten() {
            if let Ok(key) = Key::of(child) {
                children.push(live_branch(key, child, owned, depth + 1));
            }
        }
    }
    children.sort_by(|a, b| a.key.cmp(&b.key));
    let note = if phase == Phase::Ready { String::new() } else { health.message };
    Branch { key, phase, note, children }
}
