//! What a build reads, counted: every file once, and after a change the changed file alone.
#![allow(clippy::disallowed_methods)]

use kustomize::{Kept, MemoryWorld, Options, World, WorldError, build};
use std::cell::RefCell;

/// A world that notes what is read from it.
struct Counted {
    files: RefCell<MemoryWorld>,
    reads: RefCell<Vec<String>>,
}

impl World for Counted {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        let read = self.files.borrow().read(path);
        if read.is_ok() {
            self.reads.borrow_mut().push(path.to_owned());
        }
        read
    }
    fn is_dir(&self, path: &str) -> bool {
        self.files.borrow().is_dir(path)
    }
    fn is_file(&self, path: &str) -> bool {
        self.files.borrow().is_file(path)
    }
    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        self.files.borrow().list_dir(path)
    }
}

fn map(name: &str, value: usize) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: \"{value}\"\n")
}

#[test]
fn a_rebuild_reads_what_changed_and_nothing_else() {
    let mut files = MemoryWorld::new();
    let mut top = String::from("resources:\n");
    for at in 0..20 {
        files.insert(&format!("/base-{at}/kustomization.yaml"), "resources: [one.yaml, two.yaml]\n");
        files.insert(&format!("/base-{at}/one.yaml"), map(&format!("one-{at}"), at));
        files.insert(&format!("/base-{at}/two.yaml"), map(&format!("two-{at}"), at));
        top += &format!("- ../base-{at}\n");
    }
    top += "namePrefix: p-\npatches:\n- path: patch.yaml\n";
    files.insert("/top/kustomization.yaml", top);
    files.insert("/top/patch.yaml", map("one-3", 99));
    let world = Kept::new(Counted { files: RefCell::new(files), reads: RefCell::default() });

    let first = build(&world, "/top", &Options::default()).expect("it builds").to_yaml();
    let mut reads = world.world().reads.take();
    assert_eq!(reads.len(), 20 * 3 + 2);
    reads.sort();
    reads.dedup();
    assert_eq!(reads.len(), 20 * 3 + 2, "a file was read twice");

    world.world().files.borrow_mut().insert("/base-7/two.yaml", map("two-7", 1234));
    world.changed("/base-7/two.yaml");
    let second = build(&world, "/top", &Options::default()).expect("it builds").to_yaml();
    assert_eq!(world.world().reads.take(), ["/base-7/two.yaml"]);
    assert_eq!(
        second,
        first.replace(
            "value: \"7\"\nkind: ConfigMap\nmetadata:\n  name: p-two-7",
            "value: \"1234\"\nkind: ConfigMap\nmetadata:\n  name: p-two-7"
        )
    );
    assert_ne!(first, second);

    let third = build(&world, "/top", &Options::default()).expect("it builds").to_yaml();
    assert_eq!(third, second);
    assert!(world.world().reads.take().is_empty());
}

#[test]
fn a_file_that_comes_is_seen_when_it_is_told() {
    let mut files = MemoryWorld::new();
    files.insert("/top/kustomization.yaml", "resources: [late.yaml]\n");
    let world = Kept::new(Counted { files: RefCell::new(files), reads: RefCell::default() });
    assert!(build(&world, "/top", &Options::default()).is_err());
    world.world().files.borrow_mut().insert("/top/late.yaml", map("late", 1));
    world.moved();
    assert!(build(&world, "/top", &Options::default()).is_ok());
}
