// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// Modes of kube-proxy.
const (
	KubeProxyNone     = "none"
	KubeProxyNftables = "nftables"
	KubeProxyIptables = "iptables"
)

// Plan is everything that decides what a sandbox looks like. The specs of all capsules are derived from it.
type Plan struct {
	Paths     Paths     `json:"paths"`
	Nodes     int       `json:"nodes"`
	DualStack bool      `json:"dualStack"`
	Dev       bool      `json:"dev"`       // run Woven's own programs
	KubeProxy string    `json:"kubeProxy"` // one of the KubeProxy modes
	DNS       bool      `json:"dns"`       // run CoreDNS; used with Dev
	OVNDNS    bool      `json:"ovnDNS"`    // OVN resolves names of Services; used with Dev
	Artifacts Artifacts `json:"artifacts"`
	Exe       string    `json:"exe"`      // this program
	Source    string    `json:"source"`   // root of Woven's source tree: its manifests are applied with Dev
	WovenBin  string    `json:"wovenBin"` // directory of woven-controller, woven-cniserver, woven-cni; used with Dev
	CgroupV2  bool      `json:"cgroupV2"`
	// CgroupV1 lists the v1 hierarchies that a node mounts: directory name below /sys/fs/cgroup → mount option.
	CgroupV1 []CgroupMount `json:"cgroupV1"`
}

// CgroupMount is one cgroup v1 hierarchy as seen inside a node.
type CgroupMount struct {
	Dir    string `json:"dir"`    // e.g. "cpu,cpuacct"
	Option string `json:"option"` // e.g. "cpu,cpuacct" or "none,name=systemd"
}

// Validate returns an error if the plan cannot work.
func (p Plan) Validate() error {
	if err := ValidateName(p.Paths.Name); err != nil {
		return err
	}
	if p.Nodes < 1 || p.Nodes > MaxNodes {
		return fmt.Errorf("nodes: %d: want 1 to %d", p.Nodes, MaxNodes)
	}
	switch p.KubeProxy {
	case KubeProxyNone, KubeProxyNftables, KubeProxyIptables:
	default:
		return fmt.Errorf("kube-proxy mode %q: want nftables, iptables or none", p.KubeProxy)
	}
	home := string(p.Paths.Home)
	if !filepath.IsAbs(home) {
		return fmt.Errorf("home %q: want an absolute path", home)
	}
	if home == "/run" || strings.HasPrefix(home, "/run/") || strings.HasPrefix(home, "/var/run/") {
		return errors.New("home lies below /run, which every node mounts over: set WOVEN_SANDBOX_HOME elsewhere")
	}
	return nil
}

// specs are the capsules of the plan: the control plane, the outside host and the nodes.
func (p Plan) specs() []CapsuleSpec {
	specs := []CapsuleSpec{p.controlSpec(), p.outsideSpec()}
	for n := 1; n <= p.Nodes; n++ {
		specs = append(specs, p.nodeSpec(n))
	}
	return specs
}

func (p Plan) capsule(name, hostname string) CapsuleSpec {
	return CapsuleSpec{
		Name: name, Hostname: hostname, Root: p.Artifacts.Root, Status: p.Paths.statusFile(name), LogDir: filepath.Dir(p.Paths.log(name, "x")),
		Path: strings.Join([]string{p.Artifacts.Kubernetes, p.Artifacts.Containerd, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":"),
	}
}

// baseMounts gives a capsule its own /proc, /sys and /run, and makes the Debian root usable by chroot from within the
// capsule: with the same /run, and with directories of its own for databases and keys.
func (p Plan) baseMounts(name string) []Mount {
	root := p.Artifacts.Root
	run := p.Paths.own(name, "run")
	mounts := []Mount{
		{MountProc, "", "/proc"},
		{MountSys, "", "/sys"},
		{MountBind, run, "/run"},
		{MountBind, "/proc", filepath.Join(root, "proc")},
		{MountBind, "/sys", filepath.Join(root, "sys")},
		{MountBind, "/dev", filepath.Join(root, "dev")},
		{MountBind, run, filepath.Join(root, "run")},
	}
	for _, dir := range []string{"/etc/openvswitch", "/etc/ovn", "/var/lib/openvswitch", "/var/lib/ovn", "/var/log/openvswitch", "/var/log/ovn"} {
		own := p.Paths.own(name, strings.ReplaceAll(dir[1:], "/", "-"))
		mounts = append(mounts, Mount{MountBind, own, filepath.Join(root, dir)})
	}
	return mounts
}

func (p Plan) outsideSpec() CapsuleSpec {
	spec := p.capsule(outsideCapsule, "outside")
	spec.Mounts = p.baseMounts(outsideCapsule)
	spec.Services = []Service{{Name: "echo", Argv: []string{p.Exe, "capsule-echo"}}}
	return spec
}

// link is a veth pair between the bridge in the control plane's network namespace and one capsule.
type link struct {
	capsule string
	port    string // name of the bridge's end
	mac     string // address of the capsule's end, eth0
	addrs   []netip.Prefix
}

func (p Plan) links() []link {
	links := []link{{outsideCapsule, "outside", hardwareAddr(outsideHost), hostPrefixes(outsideHost, p.DualStack)}}
	for n := 1; n <= p.Nodes; n++ {
		// A node's address is on br-phy, not on eth0: see nodeUnderlay.
		links = append(links, link{NodeName(n), "node" + fmt.Sprint(n), hardwareAddr(nodeHost0 + n), nil})
	}
	return links
}

// hardwareAddr is a locally administered MAC address for host n of the node network.
func hardwareAddr(n int) string { return fmt.Sprintf("02:77:00:00:00:%02x", n) }

// clusterNets are the networks that the control plane reaches through a node: pods and the join network.
func (p Plan) clusterNets() []netip.Prefix {
	nets := []netip.Prefix{podNet4, joinNet4}
	if p.DualStack {
		nets = append(nets, podNet6, joinNet6)
	}
	return nets
}

// join is a comma-separated list, the form of dual-stack values in Kubernetes' flags.
func join[T fmt.Stringer](dual bool, v4, v6 T) string {
	if dual {
		return v4.String() + "," + v6.String()
	}
	return v4.String()
}
