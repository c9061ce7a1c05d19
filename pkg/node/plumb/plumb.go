// SPDX-License-Identifier: Apache-2.0

// Package plumb connects pods: it makes and removes the veth pair, the addresses and routes inside the pod and the
// OVS port of one NIC. ADD is a list of reversible steps; DEL needs neither the pod nor its namespace nor the API
// server; every operation may be repeated.
package plumb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/go-logr/logr"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/podnet"
)

// Keys of the external_ids of a pod's Interface, beside those of package ovs.
const (
	keyContainerID  = "container_id"
	keyIfName       = "if_name"
	keyPodName      = "pod_name"
	keyPodNamespace = "pod_namespace"
	keyPodProvider  = "pod_provider" // empty for the default NIC
	keyPodNetNS     = "pod_netns"
	// keyGateway, keyCIDR and keyMTU are what the NIC has now, for changes while the pod runs.
	keyGateway = "gateway"
	keyCIDR    = "cidr"
	keyMTU     = "mtu"
)

// Switch is what plumbing needs of the OVS driver.
type Switch interface {
	// EnsurePort makes the port so; it is idempotent.
	EnsurePort(ctx context.Context, p ovs.Port) error
	// DeletePort removes the port; it is no error if it is not there.
	DeletePort(ctx context.Context, bridge, name string) error
	// Ports returns all ports that Woven made.
	Ports() ([]ovs.Port, error)
	// WaitInstalled returns when ovn-controller has installed the flows of the interface, or ctx is over.
	WaitInstalled(ctx context.Context, name, ifaceIDVer string) error
	// DatapathType returns the datapath_type of a bridge.
	DatapathType(bridge string) (string, error)
}

// Config configures a [Plumber].
type Config struct {
	Switch Switch
	// Bridge is the integration bridge, usually br-int.
	Bridge string
	// MTU in bytes is that of pods whose subnet does not say one.
	MTU int
	// InstalledTimeout bounds the wait for ovn-controller.
	InstalledTimeout time.Duration
	Log              logr.Logger
}

// Attachment identifies one NIC of one sandbox.
type Attachment struct {
	ContainerID string
	IfName      string
}

func (a Attachment) key() string { return a.ContainerID + "/" + a.IfName }

// String is how errors and logs name the attachment.
func (a Attachment) String() string { return "container " + a.ContainerID + " interface " + a.IfName }

// Request is one NIC to make or to check.
type Request struct {
	Attachment
	// NetNS is the path of the sandbox's network namespace.
	NetNS string
	// Network is the wanted configuration of the NIC.
	Network podnet.Network
	// Routes are those of the network configuration; the pod's own win over them.
	Routes []podnet.Route
}

// Result says what ADD made.
type Result struct {
	// HostIf and HostMAC are the node's end.
	HostIf  string
	HostMAC net.HardwareAddr
	// MTU is in bytes.
	MTU int
	// Routes are all routes via a gateway inside the pod, default routes first.
	Routes []podnet.Route
}

// Plumber serves the CNI operations of one node. Its methods may be called in parallel.
type Plumber struct {
	cfg       Config
	locks     keyedLock
	userspace Userspace
}

// New returns a Plumber.
func New(cfg Config) (*Plumber, error) {
	switch {
	case cfg.Switch == nil:
		return nil, errors.New("plumb: no switch driver")
	case cfg.Bridge == "":
		return nil, errors.New("plumb: bridge is empty")
	case cfg.MTU < 68:
		return nil, fmt.Errorf("plumb: mtu %d is below the minimum of IPv4, 68", cfg.MTU)
	case cfg.InstalledTimeout <= 0:
		return nil, fmt.Errorf("plumb: installed timeout %s is not positive", cfg.InstalledTimeout)
	}
	return &Plumber{cfg: cfg}, nil
}

// Status returns nil when ADD can work: the database answers and the bridge is there.
func (p *Plumber) Status(context.Context) error {
	if _, err := p.cfg.Switch.DatapathType(p.cfg.Bridge); err != nil {
		return fmt.Errorf("integration bridge: %w", err)
	}
	return nil
}

// mtu is the NIC's MTU in bytes.
func (p *Plumber) mtu(n podnet.Network) int {
	if n.MTU > 0 {
		return n.MTU
	}
	return p.cfg.MTU
}

// routes merges the routes by destination: those of the pod's annotation win over those of the network
// configuration, and both over the default route.
func routes(req Request) []podnet.Route {
	var all []podnet.Route
	if req.Network.DefaultRoute {
		for _, a := range req.Network.Addresses {
			if gw := req.Network.Gateway(a.Addr()); gw.IsValid() {
				all = append(all, podnet.Route{Dst: anyOf(a.Addr()), Gateway: gw})
			}
		}
	}
	all = append(append(all, req.Routes...), req.Network.Routes...)
	var out []podnet.Route
	for i, r := range all {
		later := false
		for _, s := range all[i+1:] {
			later = later || s.Dst == r.Dst
		}
		if !later {
			out = append(out, r)
		}
	}
	return out
}

// port is the OVS port of the NIC. The node knows from its external_ids which addresses run here.
func (p *Plumber) port(req Request, name string) ovs.Port {
	port := ovs.Port{
		Bridge: p.cfg.Bridge,
		Name:   name,
		ExternalIDs: map[string]string{
			ovs.KeyIfaceID:       req.Network.Port,
			ovs.KeyIfaceIDVer:    req.Network.UID,
			keyContainerID:       req.ContainerID,
			keyIfName:            req.IfName,
			keyPodName:           req.Network.Name,
			keyPodNamespace:      req.Network.Namespace,
			keyPodNetNS:          req.NetNS,
			ovs.KeyIP:            model.AddrsText(req.Network.Addrs()),
			ovs.KeyLogicalSwitch: req.Network.LogicalSwitch,
			keyGateway:           addressList(req.Network.Gateways),
			keyCIDR:              networkList(req.Network.Addresses),
			keyMTU:               strconv.Itoa(p.mtu(req.Network)),
		},
	}
	if provider := req.Network.Provider; provider != annotations.DefaultProvider {
		port.ExternalIDs[keyPodProvider] = provider
	}
	return port
}

// portAttachment reads back whose port it is; ok is false for ports that are no pod's.
func portAttachment(port ovs.Port) (Attachment, bool) {
	a := Attachment{ContainerID: port.ExternalIDs[keyContainerID], IfName: port.ExternalIDs[keyIfName]}
	return a, a.ContainerID != "" && a.IfName != ""
}
