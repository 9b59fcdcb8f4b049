//! Host ports and the networks that belong to them.

use std::{net::Ipv4Addr, str::FromStr};

use ipnet::{IpAdd as _, IpSub as _, Ipv4AddrRange, Ipv4Net};

/// Inclusive range of host ports for instances, written `10000-20000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let form = || format!("{s:?} is not a port range; write it as 10000-20000, within 1024-65535");
        let (first, last) = s.split_once('-').ok_or_else(form)?;
        let (first, last) = (first.trim().parse().map_err(|_| form())?, last.trim().parse().map_err(|_| form())?);
        if first < 1024 || last < first { Err(form()) } else { Ok(Self { first, last }) }
    }
}

/// Pool of addresses in CIDR form (`10.210.0.0/15`) from which every instance gets its own bridge network.
///
/// Docker's default pools hold about thirty networks, so ours are cut from this pool: the n-th port of the range owns
/// the n-th /29. The unique index of the port table thus keeps networks apart as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkPool(Ipv4Net);

/// Prefix of an instance's network: eight addresses, for the bridge and one container.
const PREFIX: u8 = 29;

/// A network with a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(Ipv4Net);

impl Subnet {
    pub fn cidr(&self) -> String {
        self.0.to_string()
    }

    /// The address of the bridge.
    pub fn gateway(&self) -> Ipv4Addr {
        self.0.network().saturating_add(1)
    }

    /// The address of its only container.
    pub fn container(&self) -> Ipv4Addr {
        self.0.network().saturating_add(2)
    }
}

/// Two networks of four addresses each for the firewall probe, outside of all instances' networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbePlace {
    /// The probe's network.
    pub home: Subnet,
    /// The network that the probe must not reach, like an instance's neighbours.
    pub neighbour: Subnet,
}

/// Prefix of the warm pool's network: 32 addresses, for the bridge and [the most warm instances](crate::warm_pool::MOST)
/// while they boot.
const WARM_PREFIX: u8 = 27;

impl NetworkPool {
    /// The subnet of `port`. `None`: the pool is too small for the range.
    pub fn subnet(&self, range: PortRange, port: u16) -> Option<Subnet> {
        let index = usize::from(port.checked_sub(range.first)?);
        // Not `subnets().nth()`, which walks through all that come before.
        let mut addresses = Ipv4AddrRange::new(self.0.network(), self.0.broadcast());
        let address = addresses.nth(index << (32 - PREFIX))?;
        Ipv4Net::new(address, PREFIX).ok().map(Subnet)
    }

    /// The last /29 of the pool, in halves. `None`: a port of the range owns it.
    pub fn probe_place(&self, range: PortRange) -> Option<ProbePlace> {
        let last = Ipv4Net::new(self.0.broadcast(), PREFIX).ok()?.trunc();
        if self.subnet(range, range.last)?.0 == last {
            return None;
        }
        let mut halves = last.subnets(PREFIX + 1).ok()?.map(Subnet);
        Some(ProbePlace { home: halves.next()?, neighbour: halves.next()? })
    }

    /// The network in which warm instances boot: the last /27 but one of the pool, since the last one has the place of the
    /// probe. `None`: ports of the range own it.
    pub fn warm_place(&self, range: PortRange) -> Option<Subnet> {
        let last = Ipv4Net::new(self.0.broadcast(), WARM_PREFIX).ok()?.trunc();
        let place = Ipv4Net::new(last.network().saturating_sub(1), WARM_PREFIX).ok()?.trunc();
        let owned = self.subnet(range, range.last)?.0;
        (self.0.contains(&place) && owned.broadcast() < place.network()).then_some(Subnet(place))
    }
}

impl FromStr for NetworkPool {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let pool = s.parse().ok().filter(|pool: &Ipv4Net| {
            // What would be written otherwise has bits of a host, or zeros in front that some take for octal.
            (8..=PREFIX).contains(&pool.prefix_len()) && pool.trunc().to_string() == s
        });
        pool.map(Self).ok_or_else(|| format!("{s:?} is not an IPv4 network; write it as 10.210.0.0/15"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_a_subnet_of_its_own() {
        let pool: NetworkPool = "10.210.0.0/15".parse().unwrap();
        let range: PortRange = "10000-20000".parse().unwrap();
        let subnet = |port| pool.subnet(range, port).unwrap();
        assert_eq!(subnet(10000).cidr(), "10.210.0.0/29");
        assert_eq!(subnet(10001).cidr(), "10.210.0.8/29");
        assert_eq!(subnet(20000).gateway().to_string(), "10.211.56.129");
        assert_eq!(pool.subnet(range, 9999), None);
        assert_eq!("10.0.0.0/28".parse::<NetworkPool>().unwrap().subnet(range, 10002), None);
    }

    #[test]
    fn the_probe_has_a_place_that_no_port_owns() {
        let range: PortRange = "10000-20000".parse().unwrap();
        let place = |pool: &str| pool.parse::<NetworkPool>().unwrap().probe_place(range);
        let found = place("10.210.0.0/15").unwrap();
        assert_eq!(
            (found.home.cidr(), found.neighbour.cidr()),
            ("10.211.255.248/30".into(), "10.211.255.252/30".into())
        );
        assert_eq!(found.home.gateway().to_string(), "10.211.255.249");
        assert_eq!(found.neighbour.container().to_string(), "10.211.255.254");
        assert_eq!(place("10.0.0.0/16"), None, "8192 networks for 10001 ports");
        let pool: NetworkPool = "10.0.0.0/28".parse().unwrap();
        assert_eq!(pool.probe_place(PortRange { first: 10000, last: 10001 }), None);
        assert!(pool.probe_place(PortRange { first: 10000, last: 10000 }).is_some());
    }

    #[test]
    fn the_warm_pool_has_a_place_that_no_port_owns() {
        let place = |pool: &str, range: &str| {
            pool.parse::<NetworkPool>().unwrap().warm_place(range.parse().unwrap()).map(|place| place.cidr())
        };
        assert_eq!(place("10.210.0.0/15", "10000-20000").as_deref(), Some("10.211.255.192/27"));
        assert_eq!(place("10.0.0.0/16", "10000-20000"), None, "8192 networks for 10001 ports");
        // Eight networks of eight addresses, then the place, then the one of the probe.
        assert_eq!(place("10.0.0.0/25", "10000-10007").as_deref(), Some("10.0.0.64/27"));
        assert_eq!(place("10.0.0.0/25", "10000-10008"), None);
        assert_eq!(place("10.0.0.0/27", "10000-10000"), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "1-2", "2000", "3000-2000", "a-b"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad:?}");
        }
        for bad in ["", "10.0.0.0", "10.0.0.1/24", "10.0.0.0/30", "010.0.0.0/8", "x/8"] {
            assert!(bad.parse::<NetworkPool>().is_err(), "{bad:?}");
        }
    }
}
