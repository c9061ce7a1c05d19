// Package ovs makes the rows of the node's Open_vSwitch database that Woven
// wants: ports, mirrors. It changes only rows marked external_ids:vendor=woven,
// and of those only what differs, in one transaction a call.
package ovs

import (
	"errors"
	"fmt"
	"maps"
)

// Vendor is the value of external_ids:vendor of everything that Woven makes in Open_vSwitch.
const Vendor = "woven"

// Keys of an Interface's external_ids. The first four are read or written by ovn-controller (ovn-controller(8)).
const (
	// KeyIfaceID names the logical switch port that the interface is.
	KeyIfaceID = "iface-id"
	// KeyIfaceIDVer must equal the port's options:iface-id-ver, else ovn-controller does not bind it.
	KeyIfaceIDVer = "iface-id-ver"
	// KeyOVNInstalled is "true" once ovn-controller has installed the flows of the port.
	KeyOVNInstalled = "ovn-installed"
	// KeyOVNInstalledTS is when that was, in milliseconds since the epoch.
	KeyOVNInstalledTS = "ovn-installed-ts"
	// KeyVendor marks the owner of a row.
	KeyVendor = "vendor"
)

// Errors that callers tell apart.
var (
	// ErrNoBridge is wrapped when a bridge is not in the database (yet).
	ErrNoBridge = errors.New("no such bridge in Open_vSwitch")
	// ErrNotOwned is wrapped when a name is taken by a row that Woven did not make.
	ErrNotOwned = errors.New("the row has no external_ids:vendor=" + Vendor + ", so it belongs to someone else")
)

// Port is a port with one interface of the same name.
type Port struct {
	Bridge string
	Name   string
	// Type is the Interface type: "" (a device of the kernel), "internal", "patch" …
	Type string
	// MAC is the address of an internal interface; "" leaves the choice to OVS.
	MAC string
	// MTU is mtu_request in bytes; 0 leaves the choice to OVS.
	MTU int
	// Options are options of the Interface; other keys than these stay.
	Options map[string]string
	// ExternalIDs are external_ids of the Interface; other keys stay, an empty value removes its key.
	// vendor=woven is added on the Port and on the Interface.
	ExternalIDs map[string]string
}

// Installed reports whether ovn-controller has installed the flows of this port, in the incarnation ifaceIDVer.
func (p Port) Installed(ifaceIDVer string) bool {
	return p.ExternalIDs[KeyOVNInstalled] == "true" && p.ExternalIDs[KeyIfaceIDVer] == ifaceIDVer
}

func (p Port) clone() Port {
	p.Options, p.ExternalIDs = maps.Clone(p.Options), maps.Clone(p.ExternalIDs)
	return p
}

// Mirror copies packets of a bridge to a port of it.
type Mirror struct {
	// Name is the Mirror's name, unique among the mirrors of the bridge.
	Name   string
	Bridge string
	// OutputPort names the port that gets the copies.
	OutputPort string
	// SelectAll mirrors every packet of the bridge; else SelectPorts counts.
	SelectAll bool
	// SelectPorts names the ports whose packets, in both directions, are mirrored. Absent ports are left out.
	SelectPorts []string
}

// validate refuses what OVSDB would refuse or silently misread.
func (p Port) validate() error {
	switch {
	case p.Bridge == "":
		return fmt.Errorf("port %q: bridge is empty", p.Name)
	case p.Name == "" || len(p.Name) > 15:
		return fmt.Errorf("port %q: name must have 1 to 15 characters", p.Name)
	case p.MTU < 0:
		return fmt.Errorf("port %q: mtu %d is negative", p.Name, p.MTU)
	}
	for _, key := range []string{KeyOVNInstalled, KeyOVNInstalledTS} {
		if _, ok := p.ExternalIDs[key]; ok {
			return fmt.Errorf("port %q: external_ids:%s is written by ovn-controller alone", p.Name, key)
		}
	}
	return nil
}

func (m Mirror) validate() error {
	if m.Name == "" || m.Bridge == "" || m.OutputPort == "" {
		return fmt.Errorf("mirror %q: name, bridge %q and output port %q must not be empty", m.Name, m.Bridge, m.OutputPort)
	}
	return nil
}

// sameIdentity reports whether two interfaces are the same logical port in the same incarnation.
func sameIdentity(a, b map[string]string) bool {
	return a[KeyIfaceID] == b[KeyIfaceID] && a[KeyIfaceIDVer] == b[KeyIfaceIDVer]
}
