// SPDX-License-Identifier: Apache-2.0

// Package ovs makes the rows of the node's Open_vSwitch database that Woven wants: bridges, ports, mirrors and bridge
// mappings. It changes only rows marked external_ids:vendor=woven and the bridge mappings of such bridges, and of those
// only what differs, in one transaction a call.
package ovs

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// UserspaceDatapath is the datapath_type of a bridge whose packets ovs-vswitchd itself forwards.
const UserspaceDatapath = "netdev"

// maxName is the longest name of a link, in bytes (IFNAMSIZ less the final zero).
const maxName = 15

// Vendor is the value of external_ids:vendor of everything that Woven makes in Open_vSwitch.
const Vendor = "woven"

// Keys of an Interface's external_ids. The first four are read or written by ovn-controller (ovn-controller(8)).
const (
	// KeyIfaceID names the logical switch port that the interface is.
	KeyIfaceID = "iface-id"
	// KeyIfaceIDVer must equal the port's options:iface-id-ver, else ovn-controller does not bind it.
	KeyIfaceIDVer = "iface-id-ver"
	// KeyIP has the addresses of a pod's NIC, separated by commas, and KeyLogicalSwitch its Subnet.
	KeyIP            = "ip"
	KeyLogicalSwitch = "logical_switch"
	// KeyOVNInstalled is "true" once ovn-controller has installed the flows of the port.
	KeyOVNInstalled = "ovn-installed"
	// KeyOVNInstalledTS is when that was, in milliseconds since the epoch.
	KeyOVNInstalledTS = "ovn-installed-ts"
	// KeyVendor marks the owner of a row.
	KeyVendor = "vendor"
)

const (
	// keyUplink records, in external_ids of a bridge of ours, the link of the host that the bridge is for.
	keyUplink = "woven-uplink"
	// keyHWAddr is the key of a bridge's other_config with its MAC (ovs-vswitchd.conf.db(5)).
	keyHWAddr = "hwaddr"
	// keyMappings is the key of external_ids of Open_vSwitch by which ovn-controller finds the bridges of physical
	// networks (ovn-controller(8)).
	keyMappings = "ovn-bridge-mappings"
)

// Errors that callers distinguish.
var (
	// ErrNoBridge is wrapped when a bridge is not in the database (yet).
	ErrNoBridge = errors.New("no such bridge in Open_vSwitch")
	// ErrNetworkMapped is wrapped when a physical network is mapped to a bridge that Woven did not make.
	ErrNetworkMapped = errors.New("the network is mapped to another bridge in external_ids:" + keyMappings)
	// ErrNotOwned is wrapped when a name is taken by a row that Woven did not make.
	ErrNotOwned = errors.New("the row has no external_ids:vendor=" + Vendor + ", so it belongs to someone else")
)

// Bridge is a bridge that Woven makes. It has an internal port of its own name.
type Bridge struct {
	Name string
	// DatapathType is "" for the kernel's datapath or [UserspaceDatapath]. Only bridges of one datapath can be joined
	// by patch ports.
	DatapathType string
	// MAC of the bridge and its internal port, lower case with colons; "" leaves the choice to OVS.
	MAC string
	// Uplink names the link of the host that the bridge is for, "" for none. It is only recorded here;
	// [Driver.EnsurePort] makes it a port.
	Uplink string
	// Network is the physical network that ovn-controller reaches through the bridge: "<Network>:<Name>" is an element
	// of external_ids:ovn-bridge-mappings. "" means none.
	Network string
}

// validate refuses what OVSDB would refuse or ovn-controller would misread.
func (b Bridge) validate() error {
	switch {
	case b.Name == "" || len(b.Name) > maxName:
		return fmt.Errorf("bridge %q: name must have 1 to %d characters", b.Name, maxName)
	case b.Name == b.Uplink:
		return fmt.Errorf("bridge %q: its uplink has the same name", b.Name)
	case strings.ContainsAny(b.Network+b.Name, ",:"):
		return fmt.Errorf("bridge %q: ',' or ':' in the name of network %q or of the bridge", b.Name, b.Network)
	}
	return nil
}

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
	// OFPort is the OpenFlow port number, which ovs-vswitchd sets when it has opened the interface; 0 before, -1 if it
	// failed. It is only read.
	OFPort int
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
	case p.Name == "" || len(p.Name) > maxName:
		return fmt.Errorf("port %q: name must have 1 to %d characters", p.Name, maxName)
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
