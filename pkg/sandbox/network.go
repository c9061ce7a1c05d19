// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	bridgeName = "br0"
	nodeLink   = "eth0"
	underlay   = 1500 // MTU of the links between the nodes
)

// inNetns calls do on a thread that is in the network namespace of process p.
func inNetns(p Process, do func() error) error {
	target, err := netns.GetFromPath(p.netnsPath())
	if err != nil {
		return fmt.Errorf("open the network namespace of process %d: %w", p.PID, err)
	}
	defer func() { _ = target.Close() }()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open our own network namespace: %w", err)
	}
	defer func() { _ = home.Close() }()
	if err := netns.Set(target); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the network namespace of process %d: %w", p.PID, err)
	}
	doErr := do()
	if err := netns.Set(home); err != nil {
		return errors.Join(doErr, fmt.Errorf("leave a network namespace: %w", err)) // the thread stays locked, so the runtime terminates it
	}
	runtime.UnlockOSThread()
	return doErr
}

// controlNetwork creates the bridge that connects all capsules, with the control plane's address on it.
func controlNetwork(ctx context.Context, control Process, p Plan) error {
	return inNetns(control, func() error {
		if err := linkUp("lo"); err != nil {
			return err
		}
		mac, err := net.ParseMAC(hardwareAddr(controlHost))
		if err != nil {
			return fmt.Errorf("parse the bridge's address: %w", err)
		}
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName, MTU: underlay, HardwareAddr: mac}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("create bridge %s: %w", bridgeName, err)
		}
		if err := addAddrs(bridge, hostPrefixes(controlHost, p.DualStack)); err != nil {
			return err
		}
		if err := linkUp(bridgeName); err != nil {
			return err
		}
		if err := txOff(ctx, bridgeName); err != nil {
			return err
		}
		return clusterRoutes(bridge, p)
	})
}

// clusterRoutes route from the control plane to pods through the first node, for the API server's proxy and for
// webhooks.
func clusterRoutes(bridge netlink.Link, p Plan) error {
	for _, dst := range p.clusterNets() {
		via := NodeAddr(1, dst.Addr().Is6())
		route := &netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: ipNet(dst), Gw: via.AsSlice()}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("add the route to %s: %w", dst, err)
		}
	}
	return nil
}

// connect connects a capsule to the bridge with a veth pair.
func connect(ctx context.Context, control, capsule Process, l link) error {
	mac, err := net.ParseMAC(l.mac)
	if err != nil {
		return fmt.Errorf("parse the address of %s: %w", l.capsule, err)
	}
	err = inNetns(control, func() error {
		bridge, err := netlink.LinkByName(bridgeName)
		if err != nil {
			return fmt.Errorf("find bridge %s: %w", bridgeName, err)
		}
		veth := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: l.port, MTU: underlay, MasterIndex: bridge.Attrs().Index},
			PeerName:  nodeLink, PeerMTU: underlay, PeerHardwareAddr: mac, PeerNamespace: netlink.NsPid(capsule.PID),
		}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("create the veth pair to %s: %w", l.capsule, err)
		}
		if err := linkUp(l.port); err != nil {
			return err
		}
		return txOff(ctx, l.port)
	})
	if err != nil {
		return err
	}
	return inNetns(capsule, func() error {
		if err := linkUp("lo"); err != nil {
			return err
		}
		eth0, err := netlink.LinkByName(nodeLink)
		if err != nil {
			return fmt.Errorf("find the veth end in %s: %w", l.capsule, err)
		}
		if err := addAddrs(eth0, l.addrs); err != nil {
			return err
		}
		if err := txOff(ctx, nodeLink); err != nil {
			return err
		}
		return linkUp(nodeLink)
	})
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set link %s up: %w", name, err)
	}
	return nil
}

func addAddrs(link netlink.Link, addrs []netip.Prefix) error {
	for _, addr := range addrs {
		entry := &netlink.Addr{IPNet: ipNet(addr)}
		entry.IP = addr.Addr().AsSlice()
		if addr.Addr().Is6() {
			entry.Flags = unix.IFA_F_NODAD // no duplicates are possible; duplicate address detection would only delay
		}
		if err := netlink.AddrReplace(link, entry); err != nil {
			return fmt.Errorf("add address %s to %s: %w", addr, link.Attrs().Name, err)
		}
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Masked().Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

// txOff turns transmit checksum offload off: the userspace datapath forwards frames unchanged, and nothing behind it
// would fill in the checksum. The calling thread must be in the link's network namespace.
func txOff(ctx context.Context, name string) error {
	// exec forks from this thread, so the program runs in this thread's network namespace.
	output, err := exec.CommandContext(ctx, "ethtool", "-K", name, "tx", "off").CombinedOutput() // #nosec G204 -- names of our own links
	if err != nil {
		return fmt.Errorf("turn checksum offload of %s off: %w: %s", name, err, output)
	}
	return nil
}
