// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// Ports of OVN's databases on the control plane's address. They accept TLS only (ovsdb-server(1)).
const (
	NBPort = "6641"
	SBPort = "6642"
)

// Sockets as seen inside a capsule, both in its Debian root and outside of it.
const (
	nbSocket  = "/run/ovn/ovnnb_db.sock"
	sbSocket  = "/run/ovn/ovnsb_db.sock"
	ovsSocket = "/run/openvswitch/db.sock"
)

// ovnTLS name the key, certificate and CA of a program, below /etc/ovn in its Debian root.
func ovnTLS(program string) []string {
	dir := "/etc/ovn/" + program
	return []string{"--private-key=" + dir + "-key.pem", "--certificate=" + dir + "-cert.pem", "--ca-cert=" + dir + "-ca.pem"}
}

// quiet turns the syslog output of OVS programs off; their standard error goes to the service's log file.
const quiet = "-vsyslog:off"

func sslAddr(port string) string {
	return "ssl:" + net.JoinHostPort(ControlAddr().String(), port)
}

func (p Plan) ovnCentralServices() []Service {
	northd := []string{
		"ovn-northd", quiet, "--ovnnb-db=unix:" + nbSocket, "--ovnsb-db=unix:" + sbSocket,
		"--pidfile=/run/ovn/ovn-northd.pid", "--unixctl=/run/ovn/ovn-northd.ctl",
	}
	return []Service{
		// Only controllers have a certificate of the northbound's CA.
		p.ovnDatabase(svcOVNNB, "nb", "--remote=pssl:"+NBPort+":0.0.0.0", nbSocket, []string{"ovn-nbctl", "--db=unix:" + nbSocket, "init"}),
		// A node may write what the role ovn-controller permits: its own Chassis, its ports, and what it learns
		// (ovn-sb(5), RBAC). It is known by the common name of its certificate, which is its system-id.
		p.ovnDatabase(svcOVNSB, "sb", "--remote=db:OVN_Southbound,SB_Global,connections", sbSocket, []string{
			"ovn-sbctl", "--db=unix:" + sbSocket, "init", "--", "set-connection", "role=ovn-controller", "pssl:" + SBPort + ":0.0.0.0",
		}),
		{Name: svcOVNNorthd, Chroot: true, After: []string{svcOVNNB, svcOVNSB}, Argv: northd},
	}
}

func (p Plan) ovnDatabase(service, db, remote, socket string, initialize []string) Service {
	file := "/etc/ovn/ovn" + db + ".db"
	create := Hook{
		Argv: []string{"ovsdb-tool", "create", file, "/usr/share/ovn/ovn-" + db + ".ovsschema"}, Chroot: true,
		Unless: filepath.Join(p.Artifacts.Root, file),
	}
	argv := append([]string{
		"ovsdb-server", quiet, file, "--remote=punix:" + socket, remote,
		"--pidfile=/run/ovn/ovn" + db + "_db.pid", "--unixctl=/run/ovn/ovn" + db + "_db.ctl",
	}, ovnTLS(db)...)
	return Service{
		Name: service, Chroot: true, Argv: argv, Before: []Hook{create}, Ready: Probe{Unix: socket},
		Then: []Hook{{Argv: initialize, Chroot: true}},
	}
}

// ovsServices are a node's Open vSwitch and ovn-controller.
func (p Plan) ovsServices(n int) []Service {
	const conf = "/etc/openvswitch/conf.db"
	db := Service{
		Name: svcOVSDB, Chroot: true,
		Argv: []string{"ovsdb-server", quiet, conf, "--remote=punix:" + ovsSocket, "--pidfile=/run/openvswitch/ovsdb-server.pid"},
		Before: []Hook{{
			Argv: []string{"ovsdb-tool", "create", conf, "/usr/share/openvswitch/vswitch.ovsschema"}, Chroot: true,
			Unless: filepath.Join(p.Artifacts.Root, conf),
		}},
		Ready: Probe{Unix: ovsSocket},
		Then:  []Hook{{Argv: append([]string{"ovs-vsctl", "--no-wait", "init", "--"}, p.chassisConfig(n)...), Chroot: true, Once: true}},
	}
	vswitchd := Service{
		Name: svcVSwitchd, Chroot: true, After: []string{svcOVSDB},
		Argv:   []string{"ovs-vswitchd", quiet, "unix:" + ovsSocket, "--pidfile=/run/openvswitch/ovs-vswitchd.pid"},
		Before: []Hook{{Argv: []string{"nft", "-f", p.Paths.own(NodeName(n), "node.nft")}, Once: true}},
		Then:   p.nodeUnderlay(n),
	}
	controller := Service{
		Name: svcOVNController, Chroot: true, After: []string{svcVSwitchd},
		Argv: append([]string{"ovn-controller", quiet, "unix:" + ovsSocket, "--pidfile=/run/ovn/ovn-controller.pid"}, ovnTLS("node")...),
	}
	return []Service{db, vswitchd, controller}
}

// chassisConfig are the settings that ovn-controller reads (ovn-controller(8)), as a command of ovs-vsctl.
func (p Plan) chassisConfig(n int) []string {
	name := NodeName(n)
	return []string{
		"set", "Open_vSwitch", ".",
		"external-ids:system-id=" + name, "external-ids:hostname=" + name,
		"external-ids:ovn-remote=" + sslAddr(SBPort),
		"external-ids:ovn-encap-type=geneve", "external-ids:ovn-encap-ip=" + NodeAddr(n, false).String(),
		"external-ids:ovn-monitor-all=true", "external-ids:ovn-bridge-datapath-type=netdev",
		"external-ids:ovn-openflow-probe-interval=30", "external-ids:ovn-remote-probe-interval=60000",
	}
}

// nodeUnderlay creates a node's bridges and its address. With the userspace datapath, the tunnels' source address must
// be on an Open vSwitch bridge, so eth0 is a port of br-phy and br-phy has the address. The bridges' devices disappear
// when ovs-vswitchd exits, so these commands run after each of its starts.
func (p Plan) nodeUnderlay(n int) []Hook {
	bridges := []string{
		"ovs-vsctl", "--timeout=10",
		"--may-exist", "add-br", "br-phy", "--", "set", "Bridge", "br-phy", "datapath_type=netdev", "fail_mode=standalone", "other-config:hwaddr=" + hardwareAddr(nodeHost0+n),
		"--", "--may-exist", "add-port", "br-phy", "eth0",
		"--", "--may-exist", "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev", "fail_mode=secure", "other-config:disable-in-band=true",
	}
	hooks := []Hook{
		{Argv: bridges, Chroot: true},
		{Argv: []string{"ip", "link", "set", "br-phy", "up"}},
		{Argv: []string{"ethtool", "-K", "br-phy", "tx", "off"}},
	}
	for _, addr := range hostPrefixes(nodeHost0+n, p.DualStack) {
		argv := []string{"ip", "addr", "replace", addr.String(), "dev", "br-phy"}
		if addr.Addr().Is6() {
			argv = append(argv, "nodad")
		}
		hooks = append(hooks, Hook{Argv: argv})
	}
	for _, gateway := range hostPrefixes(controlHost, p.DualStack) {
		hooks = append(hooks, Hook{Argv: []string{"ip", "route", "replace", "default", "via", gateway.Addr().String(), "dev", "br-phy"}})
	}
	return append(hooks, Hook{Argv: []string{"ip", "link", "set", "br-int", "up"}})
}

// nodeFilter is a node's own nftables(8) script, two chains.
//
// The first drops on the ingress hook what Open vSwitch has already received: AF_PACKET only copies frames, and the
// node's kernel, which sees them on eth0 as well, would reply a second time.
//
// The second masquerades packets from the control plane to pods that this node forwards, as the node's address on ovn0.
// Replies of pods on other nodes then return through this node. Otherwise they would take another path than the
// requests, and conntrack on that path would treat them as new connections of the pods and translate them.
func nodeFilter(dual bool) []byte {
	var b strings.Builder
	for _, table := range []string{"netdev sandbox", "inet sandbox"} {
		fmt.Fprintf(&b, "add table %[1]s\ndelete table %[1]s\nadd table %[1]s\n", table)
	}
	fmt.Fprintf(&b, "add chain netdev sandbox ingress { type filter hook ingress device %q priority 0; policy drop; }\n", nodeLink)
	b.WriteString("add chain inet sandbox control { type nat hook postrouting priority srcnat; policy accept; }\n")
	for _, control := range hostPrefixes(controlHost, dual) {
		family := "ip"
		if control.Addr().Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&b, "add rule inet sandbox control %s saddr %s oifname %q masquerade\n", family, control.Addr(), "ovn0")
	}
	return []byte(b.String())
}
