// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/step"
)

// add is one ADD under way.
type add struct {
	p    *Plumber
	req  Request
	host *netlink.Handle
	pod  *podNS
	// name is that of the node's end and of the OVS port.
	name string
	// hostLink and podLink are set by the step that makes the pair.
	hostLink, podLink netlink.Link
	userspace         bool
}

// Add makes the NIC and returns when its traffic flows. If it fails, what it had done is undone. Adding the same
// attachment again converges on the request and disturbs nothing that is right already.
func (p *Plumber) Add(ctx context.Context, req Request) (Result, error) {
	unlock, err := p.locks.lock(ctx, req.key())
	if err != nil {
		return Result{}, fmt.Errorf("wait for another operation on %s: %w", req.Attachment, err)
	}
	defer unlock()
	a, err := p.newAdd(req)
	if err != nil {
		return Result{}, err
	}
	defer a.close()
	if err := step.Run(ctx, a.steps()); err != nil {
		return Result{}, err
	}
	return Result{
		HostIf:  a.hostLink.Attrs().Name,
		HostMAC: a.hostLink.Attrs().HardwareAddr,
		MTU:     p.mtu(req.Network),
		Routes:  routes(req),
	}, nil
}

func (p *Plumber) newAdd(req Request) (*add, error) {
	if len(req.Network.Addresses) == 0 {
		return nil, fmt.Errorf("pod %s/%s: has no address", req.Network.Namespace, req.Network.Name)
	}
	datapath, err := p.cfg.Switch.DatapathType(p.cfg.Bridge)
	if err != nil {
		return nil, fmt.Errorf("integration bridge: %w", err)
	}
	ports, err := p.cfg.Switch.Ports()
	if err != nil {
		return nil, fmt.Errorf("list OVS ports: %w", err)
	}
	host, err := netlink.NewHandle()
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	pod, err := openNS(req.NetNS)
	if err != nil {
		host.Close()
		return nil, err
	}
	return &add{p: p, req: req, host: host, pod: pod, name: req.linkName(ports), userspace: datapath == ovs.UserspaceDatapath}, nil
}

func (a *add) close() {
	a.host.Close()
	a.pod.close()
}

// steps is ADD. The OVS port comes before the pod's end is configured, so that ovn-controller works meanwhile.
func (a *add) steps() []step.Step {
	steps := []step.Step{
		{Name: "configure the pod's kernel", Do: a.kernel},
		{Name: "make veth pair", Do: a.veth},
		{Name: "configure the pod's kernel for other links", Do: a.kernelForOthers},
		{Name: "drop router advertisements of others", Do: a.onlyRouter},
		{Name: "configure the node's end", Do: a.hostEnd},
	}
	if a.userspace {
		steps = append(steps,
			step.Step{Name: "turn off checksum offload", Do: a.checksums},
			step.Step{Name: "keep the node's stack off the port", Do: a.dropIngress})
	}
	return append(steps,
		step.Step{Name: "take the logical port over from an older sandbox", Do: a.takeOver},
		step.Step{Name: "make OVS port", Do: a.ovsPort},
		step.Step{Name: "configure the pod's end", Do: a.podEnd},
		step.Step{Name: "wait for ovn-controller", Do: a.installed},
		step.Step{Name: "announce addresses", Do: a.announce},
	)
}

// kernel comes before the pair is made, which inherits the settings. So no name from a request is part of a path.
func (a *add) kernel(context.Context) (step.Undo, error) {
	acceptRA := "0"
	if a.req.Network.Advertiser.IsValid() {
		acceptRA = "1"
	}
	if err := errors.Join(a.pod.setSysctls(guards("all", "0")), a.pod.setSysctls(guards("default", acceptRA))); err != nil {
		return nil, err
	}
	for _, addr := range a.req.Network.Addresses {
		if addr.Addr().Is6() {
			return nil, a.pod.enableIPv6()
		}
	}
	return nil, nil
}

// kernelForOthers keeps router advertisements from links that are made later.
func (a *add) kernelForOthers(context.Context) (step.Undo, error) {
	return nil, a.pod.setSysctls(guards("default", "0"))
}

// onlyRouter makes the pod take advertisements of the subnet's router only, by whose link-local address no other port
// may send. OVN cannot: it allows neighbour discovery before all ACLs (ovn-northd(8), "Ingress Table 8", priority 65532
// with nd_ra). The rule goes with the namespace.
func (a *add) onlyRouter(ctx context.Context) (step.Undo, error) {
	router := a.req.Network.Advertiser
	if !router.IsValid() {
		return nil, nil
	}
	index := a.podLink.Attrs().Index
	table := hostplan.Table{Name: fmt.Sprintf("woven_link%d", index), Chains: []hostplan.Chain{{
		Name: "advertisements", Type: "filter", Hook: "input", Priority: "filter", Rules: []hostplan.Rule{{
			Text:    fmt.Sprintf("iif %d icmpv6 type nd-router-advert ip6 saddr != %s counter drop", index, router),
			Comment: "only the router of the Subnet sends advertisements",
		}},
	}}}
	return nil, a.pod.do(func() error {
		_, err := new(nft.Driver).Apply(ctx, table) // nft runs in the namespace of this thread
		return err
	})
}

// guards are the settings of links of a pod by which no neighbour changes its routes: they take neither redirects nor,
// if acceptRA is "0", router advertisements, and send no redirects (ip-sysctl in the documentation of Linux). Links is
// "all" or "default"; for IPv4 a link's value counts together with that of "all".
func guards(links, acceptRA string) map[string]string {
	return map[string]string{
		"net/ipv4/conf/" + links + "/accept_redirects": "0",
		"net/ipv4/conf/" + links + "/send_redirects":   "0",
		"net/ipv6/conf/" + links + "/accept_redirects": "0",
		"net/ipv6/conf/" + links + "/accept_ra":        acceptRA,
	}
}

// checksums needs no undo: the links go.
func (a *add) checksums(context.Context) (step.Undo, error) {
	if err := a.p.userspace.TXChecksumOff(a.pod, a.podLink.Attrs().Name); err != nil {
		return nil, err
	}
	return nil, a.p.userspace.TXChecksumOff(nil, a.hostLink.Attrs().Name)
}

func (a *add) dropIngress(context.Context) (step.Undo, error) {
	name := a.hostLink.Attrs().Name
	back := func(context.Context) error { return a.p.userspace.Release(name) }
	return back, a.p.userspace.DropIngress(name)
}

// takeOver removes ports of other sandboxes that claim the same logical port. The runtime makes a new sandbox when the
// old one is dead, but its DEL may come late or never, and ovn-controller would bind now the one, now the other. Ports
// of pods of other namespaces stay: names of logical ports are not unique between namespaces.
func (a *add) takeOver(ctx context.Context) (step.Undo, error) {
	ports, err := a.p.cfg.Switch.Ports()
	if err != nil {
		return nil, err
	}
	for _, port := range ports {
		whose, pods := portAttachment(port)
		if !pods || whose == a.req.Attachment || port.ExternalIDs[ovs.KeyIfaceID] != a.req.Network.Port ||
			port.ExternalIDs[keyPodNamespace] != a.req.Network.Namespace {
			continue
		}
		a.p.cfg.Log.Info("removing the port of an older sandbox", "port", port.Name, "logicalPort", a.req.Network.Port,
			"container", port.ExternalIDs[keyContainerID])
		if err := a.p.cfg.Switch.DeletePort(ctx, port.Bridge, port.Name); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (a *add) ovsPort(ctx context.Context) (step.Undo, error) {
	port := a.p.port(a.req, a.name)
	ports, err := a.p.cfg.Switch.Ports()
	if err != nil {
		return nil, err
	}
	for _, old := range ports {
		if old.Name == port.Name {
			// A repeated ADD: the port was there before and stays if this one fails.
			return nil, a.p.cfg.Switch.EnsurePort(ctx, port)
		}
	}
	back := func(ctx context.Context) error { return a.p.cfg.Switch.DeletePort(ctx, port.Bridge, port.Name) }
	return back, a.p.cfg.Switch.EnsurePort(ctx, port)
}

func (a *add) installed(ctx context.Context) (step.Undo, error) {
	ctx, cancel := context.WithTimeout(ctx, a.p.cfg.InstalledTimeout)
	defer cancel()
	if err := a.p.cfg.Switch.WaitInstalled(ctx, a.hostLink.Attrs().Name, a.req.Network.UID); err != nil {
		return nil, fmt.Errorf("logical port %q of pod %s/%s: %w", a.req.Network.Port, a.req.Network.Namespace, a.req.Network.Name, err)
	}
	return nil, nil
}

func (a *add) announce(context.Context) (step.Undo, error) {
	return nil, announce(a.pod, a.podLink.Attrs().Index, a.req.Network.MAC, a.req.Network.Addresses)
}
