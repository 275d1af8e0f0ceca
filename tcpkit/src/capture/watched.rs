//! The interfaces that are watched: attached to as they come, let go of as they leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use caps::Capability;
use tcpkit_common::{DIRECTION_EGRESS, DIRECTION_INGRESS, counter_slot};

use super::{
    CaptureError, HookDirection, InterfaceCounters, InterfaceNames, LinkType,
    attach::{Attacher, Attachment},
    early::Latecomers,
    interfaces::{Interface, Selection},
    monitor::LinkMonitor,
    monotonic_ns,
    programs::Programs,
};
use crate::filter::{CaptureFilter, FilterError};

/// An interface with the programs on it.
struct One {
    interface: Interface,
    attachment: Attachment,
}

/// Whose packets a slot of the kernel's counters counts: of those of one hook whose indexes share
/// it, usually of one.
#[derive(Debug)]
struct Counted {
    ifindex: u32,
    direction: HookDirection,
    /// Those that are there, by their indexes.
    present: BTreeMap<u32, String>,
    /// The latest that was there.
    latest: String,
    /// How many others were there before.
    earlier: u64,
}

/// The interfaces that are watched.
pub(super) struct Watched {
    selection: Selection,
    attacher: Attacher,
    monitor: LinkMonitor,
    names: InterfaceNames,
    ones: Vec<One>,
    /// Those that took no programs. They are not tried again under that name.
    refused: BTreeSet<(u32, String)>,
    counted: BTreeMap<u32, Counted>,
    /// Interfaces that came after the start.
    latecomers: Arc<Latecomers>,
    no_raw_ip: Option<FilterError>,
}

impl Watched {
    /// Attaches to those that are there. Begins to listen for others first, so that none is missed.
    pub(super) fn open(
        selection: Selection,
        attacher: Attacher,
        filter: &CaptureFilter,
        programs: &mut Programs,
        latecomers: &Arc<Latecomers>,
    ) -> Result<Self, CaptureError> {
        let mut watched = Self {
            selection,
            attacher,
            monitor: LinkMonitor::open().map_err(CaptureError::Interfaces)?,
            names: InterfaceNames::default(),
            ones: Vec::new(),
            refused: BTreeSet::new(),
            counted: BTreeMap::new(),
            latecomers: Arc::clone(latecomers),
            no_raw_ip: filter.no_raw_ip().cloned(),
        };
        if watched.selection.is_any() {
            watched.attacher.load_all(programs)?;
        }
        let present = watched.selection.present()?;
        if let Some(error) = &watched.no_raw_ip
            && !watched.selection.is_any()
            && present.iter().all(|(_, link)| *link == LinkType::RawIp)
        {
            return Err(CaptureError::Filter(error.clone()));
        }
        if !watched.selection.is_any() {
            for (interface, link) in &present {
                watched.attacher.load_for(programs, interface, *link)?;
            }
        }
        let mut refusal = None;
        for (interface, link) in present {
            match watched.attach(programs, interface, link) {
                Ok(()) => {}
                // One of many may have vanished meanwhile, or be of a kind that takes no programs.
                Err(error) if watched.selection.is_any() && error.is_of_one_interface() => {
                    log::debug!("{error}");
                    refusal = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match refusal {
            Some(error) if watched.ones.is_empty() => return Err(error),
            Some(error) => log::warn!("{error}"),
            None if watched.ones.is_empty() => return Err(CaptureError::NoInterface),
            None => {}
        }
        Ok(watched)
    }

    /// Tells when interfaces change.
    pub(super) fn monitor(&self) -> &LinkMonitor {
        &self.monitor
    }

    /// What it takes to go on.
    pub(super) fn capabilities(&self) -> impl Iterator<Item = Capability> {
        self.attacher.capabilities()
    }

    /// The interfaces that are watched now.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.ones.iter().map(|one| &one.interface)
    }

    /// What packets begin with, if that is known for all that can ever be watched.
    pub(super) fn link(&self) -> Option<LinkType> {
        let first = self.ones.first()?.attachment.link();
        let same = self.ones.iter().all(|one| one.attachment.link() == first);
        (same && !self.selection.is_any()).then_some(first)
    }

    /// Whether all interfaces are watched.
    pub(super) fn is_any(&self) -> bool {
        self.selection.is_any()
    }

    /// Whether packets may come from several interfaces.
    pub(super) fn is_several(&self) -> bool {
        self.selection.names().is_none_or(|names| names.len() > 1)
    }

    pub(super) fn names(&self) -> &InterfaceNames {
        &self.names
    }

    /// Takes note of interfaces that came, went or were renamed since the last call.
    pub(super) fn follow(&mut self, programs: &mut Programs) {
        if !self.monitor.take_changed() {
            return;
        }
        let present = match self.selection.present() {
            Ok(present) => present,
            Err(error) => return log::warn!("{error}"),
        };
        self.forget_gone(programs, &present);
        for (interface, link) in present {
            if let Some(one) = self.ones.iter_mut().find(|it| it.interface.index == interface.index)
            {
                if one.interface.name != interface.name {
                    self.names.insert(interface.index, &interface.name);
                    for counted in self.counted.values_mut() {
                        counted.rename(&interface);
                    }
                    one.interface = interface;
                }
            } else if !self.refused.contains(&(interface.index, interface.name.clone())) {
                let name = interface.name.clone();
                match self.attach(programs, interface, link) {
                    Ok(()) => log::info!("interface '{name}' came: listening on it"),
                    Err(error) => log::warn!("{error}"),
                }
            }
        }
    }

    fn forget_gone(&mut self, programs: &mut Programs, present: &[(Interface, LinkType)]) {
        let is_there = |index: u32| present.iter().any(|(interface, _)| interface.index == index);
        self.refused.retain(|(index, _)| is_there(*index));
        let gone = self.ones.extract_if(.., |one| !is_there(one.interface.index));
        for One { interface, attachment } in gone {
            if self.selection.is_any() {
                log::info!("interface '{}' is gone", interface.name);
            } else {
                log::warn!("interface '{}' is gone; waiting for it to come back", interface.name);
            }
            for counted in self.counted.values_mut() {
                counted.present.remove(&interface.index);
            }
            self.attacher.detach(programs, &interface.name, attachment);
            self.names.forget_later(interface.index);
        }
    }

    fn attach(
        &mut self,
        programs: &mut Programs,
        interface: Interface,
        link: LinkType,
    ) -> Result<(), CaptureError> {
        if let (LinkType::RawIp, Some(why)) = (link, &self.no_raw_ip) {
            log::warn!("nothing is captured on '{}': {why}", interface.name);
        }
        self.names.insert(interface.index, &interface.name);
        // Until all is attached, what is captured is not handed over, but it is counted.
        self.latecomers.begin(interface.index);
        for direction in self.attacher.directions(&interface) {
            programs.watch_slot(counter_slot(interface.index, side(direction)));
        }
        let attached = self.attacher.attach(programs, &interface, link);
        self.latecomers.end(interface.index, monotonic_ns());
        let attachment = match attached {
            Ok(attachment) => attachment,
            Err(error) => {
                self.refused.insert((interface.index, interface.name));
                return Err(error);
            }
        };
        for direction in attachment.directions() {
            let slot = counter_slot(interface.index, side(direction));
            count(&mut self.counted, slot, &interface, direction);
        }
        self.ones.push(One { interface, attachment });
        Ok(())
    }

    /// What was counted for each interface and hook, those that are gone included.
    pub(super) fn counters(
        &self,
        programs: &Programs,
    ) -> Result<Vec<InterfaceCounters>, CaptureError> {
        let one = |(&slot, counted): (&u32, &Counted)| {
            Ok(InterfaceCounters {
                ifindex: counted.ifindex,
                name: counted.label(),
                direction: counted.direction,
                counters: programs.slot_counters(slot)?,
            })
        };
        self.counted.iter().map(one).collect()
    }

    /// Lets go of everything, in an order in which nothing stays behind.
    pub(super) fn close(&mut self, programs: &mut Programs) {
        programs.unload();
        self.attacher.close();
    }
}

/// As the kernel's programs name directions.
fn side(direction: HookDirection) -> u8 {
    match direction {
        HookDirection::Egress => DIRECTION_EGRESS,
        _ => DIRECTION_INGRESS,
    }
}

/// Notes that a slot counts an interface's packets.
fn count(
    all: &mut BTreeMap<u32, Counted>,
    slot: u32,
    interface: &Interface,
    direction: HookDirection,
) {
    let name = interface.name.clone();
    let counted = all.entry(slot).or_insert_with(|| Counted {
        ifindex: interface.index,
        direction,
        present: BTreeMap::new(),
        latest: name.clone(),
        earlier: 0,
    });
    counted.earlier += u64::from(counted.latest != name && counted.present.is_empty());
    counted.ifindex = interface.index;
    counted.latest.clone_from(&name);
    counted.present.insert(interface.index, name);
}

impl Counted {
    fn rename(&mut self, interface: &Interface) {
        if let Some(name) = self.present.get_mut(&interface.index) {
            name.clone_from(&interface.name);
            self.latest.clone_from(&interface.name);
        }
    }

    fn label(&self) -> String {
        let names = match self.present.is_empty() {
            true => self.latest.clone(),
            false => self.present.values().cloned().collect::<Vec<_>>().join("+"),
        };
        match self.earlier {
            0 => names,
            earlier => format!("{names} (and {earlier} before)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_labelled_by_whom_they_counted() {
        let mut all = BTreeMap::new();
        let interface = |index, name: &str| Interface {
            index,
            name: name.to_owned(),
            hardware: libc::ARPHRD_ETHER,
            flags: 0,
        };
        let mut come = |index: u32, name: &str, expect: &str| {
            count(&mut all, 7, &interface(index, name), HookDirection::Ingress);
            let counted = all.get_mut(&7).unwrap();
            assert_eq!(counted.label(), expect);
            if index != 1 {
                counted.present.clear();
                assert_eq!(counted.label(), expect.rsplit('+').next().unwrap());
            }
        };
        come(1, "eth0", "eth0");
        // At the same time, since their indexes share the slot.
        come(257, "veth1", "eth0+veth1");
        // One after the other.
        come(513, "veth2", "veth2 (and 1 before)");
        come(769, "veth3", "veth3 (and 2 before)");
        come(1025, "veth3", "veth3 (and 2 before)");
    }
}
