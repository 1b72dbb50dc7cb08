//! Where the binary is loaded: on Linux at the address it is linked for. A position-independent one has a hundred
//! thousand pointers to correct at every start, which takes as long and as much memory as rendering a small chart.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|given| given == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
