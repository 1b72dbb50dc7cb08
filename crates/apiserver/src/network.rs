//! Cluster addresses and node ports of services, out of fixed ranges.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use object::{get, get_i64, get_str, meta, remove, set};
use serde_json::{Value, json};

use crate::app::App;
use crate::status::{Cause, Failure};

/// The service range, `10.96.0.0/16`; its first address is the API's own.
const RANGE: u32 = 0x0A60_0000;
const RANGE_SIZE: u32 = 1 << 16;
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// What is in use.
#[derive(Debug, Default)]
pub struct Allocator {
    addresses: BTreeSet<u32>,
    ports: BTreeSet<(u16, String)>,
    next: u32,
}

/// Addresses and ports taken for a write; given back unless it succeeds.
pub struct Reservation {
    app: Option<Arc<App>>,
    addresses: Vec<u32>,
    ports: Vec<(u16, String)>,
    freed: Vec<(u16, String)>,
}

impl Reservation {
    /// Nothing was taken.
    pub fn none() -> Reservation {
        Reservation { app: None, addresses: Vec::new(), ports: Vec::new(), freed: Vec::new() }
    }

    /// The write succeeded.
    pub fn keep(mut self) {
        if let Some(app) = self.app.take() {
            let mut allocator = app.allocator.lock();
            for port in &self.freed {
                allocator.ports.remove(port);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(app) = &self.app {
            let mut allocator = app.allocator.lock();
            for address in &self.addresses {
                allocator.addresses.remove(address);
            }
            for port in &self.ports {
                allocator.ports.remove(port);
            }
        }
    }
}

impl Allocator {
    /// Marks what a stored service holds.
    pub fn occupy(&mut self, service: &Value) {
        for address in addresses(service) {
            self.addresses.insert(address);
        }
        for port in ports(service) {
            self.ports.insert(port);
        }
    }

    /// Frees what a removed service held.
    pub fn release(&mut self, service: &Value) {
        for address in addresses(service) {
            self.addresses.remove(&address);
        }
        for port in ports(service) {
            self.ports.remove(&port);
        }
    }

    fn next_address(&mut self) -> Option<u32> {
        for _ in 0..RANGE_SIZE {
            self.next = (self.next + 1) % RANGE_SIZE;
            let address = RANGE + self.next;
            // The network's own, the API's and the broadcast address are never given out.
            if matches!(self.next, 0 | 1) || self.next == RANGE_SIZE - 1 {
                continue;
            }
            if self.addresses.insert(address) {
                return Some(address);
            }
        }
        None
    }

    fn next_port(&mut self, protocol: &str) -> Option<u16> {
        NODE_PORTS.into_iter().find(|port| self.ports.insert((*port, protocol.to_owned())))
    }
}

fn addresses(service: &Value) -> Vec<u32> {
    let list = get(service, &["spec", "clusterIPs"]).and_then(Value::as_array).cloned();
    let mut texts: Vec<Value> = list.unwrap_or_default();
    texts.extend(get(service, &["spec", "clusterIP"]).cloned());
    texts
        .iter()
        .filter_map(|v| v.as_str()?.parse::<Ipv4Addr>().ok())
        .map(u32::from)
        .filter(|a| (RANGE..RANGE + RANGE_SIZE).contains(a))
        .collect()
}

fn ports(service: &Value) -> Vec<(u16, String)> {
    let list = get(service, &["spec", "ports"]).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|port| {
            let number = u16::try_from(get_i64(port, &["nodePort"])?).ok()?;
            (number > 0).then(|| (number, protocol(port)))
        })
        .collect()
}

fn protocol(port: &Value) -> String {
    get_str(port, &["protocol"]).unwrap_or("TCP").to_owned()
}

/// Completes a service: addresses and node ports, as far as its type needs them.
pub fn allocate(
    app: &Arc<App>,
    service: &mut Value,
    live: Option<&Value>,
    dry_run: bool,
) -> Result<Reservation, Failure> {
    let mut taken = Reservation::none();
    taken.app = Some(app.clone());
    let kind = get_str(service, &["spec", "type"]).unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            remove(service, &["spec", field]);
        }
        return Ok(taken);
    }
    cluster_address(app, service, live, &mut taken)?;
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        let wanted = kind == "NodePort"
            || object::get_bool(service, &["spec", "allocateLoadBalancerNodePorts"]) != Some(false);
        if wanted {
            node_ports(app, service, live, dry_run, &mut taken)?;
        }
    }
    if !dry_run && let Some(live) = live {
        // What the service no longer uses is free again once the write succeeds.
        let kept = ports(service);
        taken.freed = ports(live).into_iter().filter(|port| !kept.contains(port)).collect();
    }
    Ok(taken)
}

fn cluster_address(
    app: &Arc<App>,
    service: &mut Value,
    live: Option<&Value>,
    taken: &mut Reservation,
) -> Result<(), Failure> {
    let previous = live.and_then(|l| get_str(l, &["spec", "clusterIP"])).unwrap_or_default();
    let asked = get_str(service, &["spec", "clusterIP"]).unwrap_or_default().to_owned();
    let address = if asked.is_empty() && !previous.is_empty() {
        previous.to_owned()
    } else if asked == "None" || asked == previous && !asked.is_empty() {
        asked
    } else if asked.is_empty() {
        let address = app
            .allocator
            .lock()
            .next_address()
            .ok_or_else(|| Failure::internal("failed to allocate a serviceIP: range is full"))?;
        taken.addresses.push(address);
        Ipv4Addr::from(address).to_string()
    } else {
        claim_address(app, service, &asked, taken)?;
        asked
    };
    set(service, &["spec", "clusterIP"], address.as_str().into());
    set(service, &["spec", "clusterIPs"], json!([address]));
    let families = json!([if address.contains(':') { "IPv6" } else { "IPv4" }]);
    if get(service, &["spec", "ipFamilies"]).is_none() {
        set(service, &["spec", "ipFamilies"], families);
    }
    if get(service, &["spec", "ipFamilyPolicy"]).is_none() {
        set(service, &["spec", "ipFamilyPolicy"], "SingleStack".into());
    }
    Ok(())
}

fn claim_address(
    app: &Arc<App>,
    service: &Value,
    asked: &str,
    taken: &mut Reservation,
) -> Result<(), Failure> {
    let refuse = |why: String| {
        let cause = Cause::invalid("spec.clusterIPs", &json!([asked]), why);
        Err(Failure::invalid("", "Service", meta::name(service), &[cause]))
    };
    let Ok(address) = asked.parse::<Ipv4Addr>() else {
        return refuse("must be a valid IP address".into());
    };
    let address = u32::from(address);
    if !(RANGE..RANGE + RANGE_SIZE).contains(&address) {
        return refuse(format!(
            "failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
        ));
    }
    if !app.allocator.lock().addresses.insert(address) {
        return refuse(format!("failed to allocate IP {asked}: provided IP is already allocated"));
    }
    taken.addresses.push(address);
    Ok(())
}

fn node_ports(
    app: &Arc<App>,
    service: &mut Value,
    live: Option<&Value>,
    dry_run: bool,
    taken: &mut Reservation,
) -> Result<(), Failure> {
    let name = meta::name(service).to_owned();
    let held = live.map(ports).unwrap_or_default();
    let old: Vec<Value> =
        live.and_then(|l| get(l, &["spec", "ports"]).and_then(Value::as_array).cloned()).unwrap_or_default();
    let Some(list) = object::get_mut(service, &["spec", "ports"]).and_then(Value::as_array_mut) else {
        return Ok(());
    };
    for (at, port) in list.iter_mut().enumerate() {
        let protocol = protocol(port);
        let mut asked = get_i64(port, &["nodePort"]).unwrap_or(0);
        if asked == 0 {
            // The same port keeps its node port.
            asked = old
                .iter()
                .find(|o| o.get("port") == port.get("port") && self::protocol(o) == protocol)
                .and_then(|o| get_i64(o, &["nodePort"]))
                .unwrap_or(0);
        }
        let mut allocator = app.allocator.lock();
        if asked == 0 {
            let number = allocator
                .next_port(&protocol)
                .ok_or_else(|| Failure::internal("failed to allocate a nodePort: range is full"))?;
            taken.ports.push((number, protocol));
            set(port, &["nodePort"], number.into());
            continue;
        }
        set(port, &["nodePort"], asked.into());
        let refuse = |why: String| {
            let field = format!("spec.ports[{at}].nodePort");
            Err(Failure::invalid("", "Service", &name, &[Cause::invalid(field, &asked.into(), why)]))
        };
        let Some(number) = u16::try_from(asked).ok().filter(|n| NODE_PORTS.contains(n)) else {
            // Where nothing is taken, nobody looks whether it could be.
            if dry_run {
                continue;
            }
            return refuse(
                "provided port is not in the valid range. The range of valid ports is 30000-32767".into(),
            );
        };
        let claim = (number, protocol);
        if held.contains(&claim) {
            continue;
        }
        if dry_run {
            continue;
        }
        if !allocator.ports.insert(claim.clone()) {
            return refuse("provided port is already allocated".into());
        }
        taken.ports.push(claim);
    }
    Ok(())
}
