// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// UserspaceTable is the nftables table (family netdev) that holds one chain per port of a userspace datapath.
const UserspaceTable = "woven-userspace"

// Userspace does what veth ports need when br-int's datapath_type is "netdev", and only then.
//
// ovs-vswitchd reads the host end of a veth by AF_PACKET. Two things follow:
//   - A packet arrives as the pod's kernel left it. With checksum offload on, its checksum is not filled in yet, since
//     the veth driver never needs it; OVS forwards it as it is and the receiver drops it. ICMP is checksummed in
//     software, so ping works and TCP never connects.
//   - AF_PACKET copies frames, it does not take them: the node's own network stack gets each one, too, and answers or
//     forwards it a second time. A netdev ingress chain with policy drop stops it behind the packet tap.
//
// The kernel's datapath takes frames by an rx handler and completes checksums, so it needs neither.
type Userspace struct{}

// TXChecksumOff turns transmit checksum offload of one link off; TSO and USO go with it. The link is looked up in the
// namespace p, nil being the node's.
func (Userspace) TXChecksumOff(p *podNS, link string) error {
	var tool *ethtool.Ethtool
	open := func() (err error) {
		tool, err = ethtool.NewEthtool()
		return err
	}
	within := p.do
	if p == nil {
		within = func(f func() error) error { return f() }
	}
	if err := within(open); err != nil {
		return fmt.Errorf("open ethtool socket: %w", err)
	}
	defer tool.Close()
	features, err := tool.FeaturesWithState(link)
	if err != nil {
		return fmt.Errorf("read offload features of %q: %w", link, err)
	}
	off := map[string]bool{}
	for name, state := range features {
		if strings.HasPrefix(name, "tx-checksum-") && state.Active && state.Available && !state.NeverChanged {
			off[name] = false
		}
	}
	if len(off) == 0 {
		return nil
	}
	if err := tool.Change(link, off); err != nil {
		return fmt.Errorf("turn off transmit checksum offload of %q: %w", link, err)
	}
	return nil
}

// DropIngress keeps the node's network stack from seeing what arrives at the device; packet sockets still do.
func (Userspace) DropIngress(device string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables socket: %w", err)
	}
	drop := nftables.ChainPolicyDrop
	table := conn.AddTable(&nftables.Table{Name: UserspaceTable, Family: nftables.TableFamilyNetdev})
	conn.AddChain(&nftables.Chain{
		Name: device, Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress,
		Priority: nftables.ChainPriorityFilter, Policy: &drop, Device: device,
	})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("drop ingress of %q (nftables table %s): %w", device, UserspaceTable, err)
	}
	return nil
}

// Release takes DropIngress back; it is no error if nothing is there. Not every kernel deletes a chain with its last
// device, so the caller that deletes the device deletes the chain.
func (Userspace) Release(device string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables socket: %w", err)
	}
	table := &nftables.Table{Name: UserspaceTable, Family: nftables.TableFamilyNetdev}
	conn.DelChain(&nftables.Chain{Name: device, Table: table})
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("release ingress of %q (nftables table %s): %w", device, UserspaceTable, err)
	}
	return nil
}

// Devices lists what DropIngress was called for and Release was not.
func (Userspace) Devices() ([]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyNetdev)
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	var out []string
	for _, c := range chains {
		if c.Table.Name == UserspaceTable {
			out = append(out, c.Name)
		}
	}
	return out, nil
}
