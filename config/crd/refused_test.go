// SPDX-License-Identifier: Apache-2.0

package crd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spec returns an object of a kind with a spec in YAML flow style.
func spec(kind, spec string) string {
	return named(kind, "x", spec)
}

func named(kind, name, spec string) string {
	return fmt.Sprintf("{apiVersion: kubeovn.io/v1, kind: %s, metadata: {name: %s}, spec: %s}", kind, name, spec)
}

func TestBadObjectsAreRefused(t *testing.T) {
	egress := "cidrBlock: 10.0.0.0/16, externalEgressGateway: 192.168.0.1"
	cases := []struct{ object, path, message string }{
		{spec("Subnet", `{}`), "spec.cidrBlock", "spec.cidrBlock is required"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/33}`), "spec.cidrBlock", "cidrBlock must be a CIDR such as 10.16.0.0/16"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0}`), "spec.cidrBlock", "must be a CIDR"},
		{spec("Subnet", `{cidrBlock: "10.0.0.0/16, fd00::/64"}`), "spec.cidrBlock", "without blanks"},
		{spec("Subnet", `{cidrBlock: "fd00::/64,10.0.0.0/16"}`), "spec.cidrBlock", "in this order"},
		{spec("Subnet", `{cidrBlock: "10.0.0.0/16,10.1.0.0/16"}`), "spec.cidrBlock", "an IPv4 and an IPv6 CIDR"},
		{spec("Subnet", `{cidrBlock: "10.0.0.0/16,fd00::/64,fd01::/64"}`), "spec.cidrBlock", "must be a CIDR"},
		{spec("Subnet", `{cidrBlock: "FD00::/64"}`), "spec.cidrBlock", "cidrBlock must be written in lower case"},
		{spec("Subnet", `{cidrBlock: 10.0.0.1/32}`), "spec.cidrBlock", "more than one address"},
		{spec("Subnet", `{cidrBlock: "fd00::1/128"}`), "spec.cidrBlock", "more than one address"},
		{spec("Subnet", `{cidrBlock: 127.0.0.0/8}`), "spec.cidrBlock", "loopback"},
		{spec("Subnet", `{cidrBlock: 169.254.0.0/16}`), "spec.cidrBlock", "link-local"},
		{spec("Subnet", `{cidrBlock: "10.0.0.0/16,ff02::/64"}`), "spec.cidrBlock", "multicast"},
		{spec("Subnet", `{cidrBlock: 0.0.0.0/0}`), "spec.cidrBlock", "0.0.0.0"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, gateway: 10.0.0.256}`), "spec.gateway", "gateway must be an address"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, gateway: 10.1.0.1}`), "spec.gateway", "spec.gateway must be inside spec.cidrBlock and not its network address: they are 10.1.0.1 and 10.0.0.0/16"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, gateway: 10.0.0.0}`), "spec.gateway", "not its network address"},
		{spec("Subnet", `{cidrBlock: "10.0.0.0/16,fd00::/64", gateway: "10.1.0.1,fd00::1"}`), "spec.gateway", "inside spec.cidrBlock"},
		{spec("Subnet", `{cidrBlock: "10.0.0.0/16,fd00::/64", gateway: "10.0.0.1,fd01::1"}`), "spec.gateway", "inside spec.cidrBlock"},
		{spec("Subnet", `{cidrBlock: "10.0.0.0/16,fd00::/64", gateway: "fd00::1,10.0.0.1"}`), "spec.gateway", "in this order"},
		{spec("Subnet", `{cidrBlock: "fd00::/64", gateway: "FD00::1"}`), "spec.gateway", "lower case"},
		{spec("Subnet", `{vlan: v, gateway: 10.0.0.1}`), "spec.gateway", "must be empty when spec.cidrBlock is empty"},
		{spec("Subnet", `{vlan: v, excludeIps: [10.0.0.1]}`), "spec.excludeIps", "must be empty when spec.cidrBlock is empty"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, excludeIps: [10.0.0.1, 10.0.0.300]}`), "spec.excludeIps[1]", "excludeIps must hold addresses"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, excludeIps: [10.0.0.1..x]}`), "spec.excludeIps[0]", "excludeIps must hold addresses"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, excludeIps: [10.0.0.1..10.0.0.2..10.0.0.3]}`), "spec.excludeIps[0]", "excludeIps must hold addresses"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, excludeIps: [10.0.0.0/24]}`), "spec.excludeIps[0]", "excludeIps must hold addresses"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, excludeIps: ["FD00::1"]}`), "spec.excludeIps[0]", "lower case"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, gatewayType: central}`), "spec.gatewayType", `supported values: "", "distributed", "centralized"`},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, protocol: ipv4}`), "spec.protocol", `supported values: "", "IPv4"`},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, mtu: 20}`), "spec.mtu", "mtu must be 0 for the default, or from 68 to 65535"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, mtu: 70000}`), "spec.mtu", "less than or equal to 65535"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, mtu: "1400"}`), "spec.mtu", "must be of type integer"},
		{spec("Subnet", `{cidrBlock: "fd00::/64", mtu: 1279}`), "spec.mtu", "at least 1280"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, allowSubnets: [10.1.0.1]}`), "spec.allowSubnets[0]", "allowSubnets must hold CIDRs"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, vips: [ten]}`), "spec.vips[0]", "vips must hold addresses"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{priority: 32768}]}`), "spec.acls[0].priority", "less than or equal to 32767"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{action: deny}]}`), "spec.acls[0].action", `supported values: "allow"`},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{direction: in}]}`), "spec.acls[0].direction", `"from-lport"`},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{action: drop, priority: 1300, match: tcp}]}`), "spec.acls[0].direction", "Required value"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{direction: to-lport, priority: 1300, match: tcp}]}`), "spec.acls[0].action", "Required value"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{direction: to-lport, action: drop, priority: 1300}]}`), "spec.acls[0].match", "Required value"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{direction: to-lport, action: drop, match: ""}]}`), "spec.acls[0].match", "at least 1 chars"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, acls: [{priority: -1}]}`), "spec.acls[0].priority", "greater than or equal to 0"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, natOutgoingPolicyRules: [{action: snat}]}`), "spec.natOutgoingPolicyRules[0].action", `"nat", "forward"`},
		{
			spec("Subnet", `{cidrBlock: 10.0.0.0/16, natOutgoingPolicyRules: [{action: nat, match: {srcIPs: "10.0.0.0/24;10.0.1.0/24"}}]}`),
			"spec.natOutgoingPolicyRules[0].match.srcIPs", "should match",
		},
		{
			spec("Subnet", `{`+egress+`, policyRoutingPriority: 1, policyRoutingTableID: 1, natOutgoing: true}`),
			"spec.externalEgressGateway", "exclude each other",
		},
		{spec("Subnet", `{`+egress+`, policyRoutingPriority: 1}`), "spec.policyRoutingTableID", "needs spec.policyRoutingTableID"},
		{spec("Subnet", `{`+egress+`, policyRoutingPriority: 1, policyRoutingTableID: 254}`), "spec.policyRoutingTableID", "reserved tables"},
		{spec("Subnet", `{`+egress+`, policyRoutingTableID: 1}`), "spec.policyRoutingPriority", "needs spec.policyRoutingPriority"},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, externalEgressGateway: "10.0.0.1,10.0.0.2"}`), "spec.externalEgressGateway", "an IPv4 and an IPv6 address"},
		{
			spec("Subnet", `{cidrBlock: 10.0.0.0/16, vlan: v, logicalGateway: true, u2oInterconnection: true}`),
			"spec.u2oInterconnection", "exclude each other",
		},
		{spec("Subnet", `{cidrBlock: 10.0.0.0/16, u2oFeatures: {overlayOnlyRouting: true}}`), "spec.u2oFeatures", "needs spec.u2oInterconnection"},
		{named("Subnet", "red", `{cidrBlock: 10.0.0.0/16, vpc: red}`), "spec.vpc", "must not equal the name of the subnet"},

		{spec("Vpc", `{staticRoutes: [{cidr: 10.0.0.0/40, nextHopIP: 10.0.0.1}]}`), "spec.staticRoutes[0].cidr", "cidr is required and must be a CIDR"},
		{spec("Vpc", `{staticRoutes: [{cidr: 10.0.0.0/8}]}`), "spec.staticRoutes[0].nextHopIP", "nextHopIP is required"},
		{spec("Vpc", `{staticRoutes: [{cidr: 10.0.0.0/8, nextHopIP: "10.0.0.1,10.0.0.2"}]}`), "spec.staticRoutes[0].nextHopIP", "repeat the route"},
		{
			spec("Vpc", `{staticRoutes: [{cidr: 10.0.0.0/8, nextHopIP: 10.0.0.1, policy: src}]}`),
			"spec.staticRoutes[0].policy", `"policySrc", "policyDst"`,
		},
		{spec("Vpc", `{policyRoutes: [{priority: 40000, action: allow}]}`), "spec.policyRoutes[0].priority", "less than or equal to 32767"},
		{spec("Vpc", `{policyRoutes: [{priority: 1, action: deny}]}`), "spec.policyRoutes[0].action", `"allow", "drop", "reroute"`},
		{spec("Vpc", `{policyRoutes: [{priority: 1}]}`), "spec.policyRoutes[0].action", "action is required"},
		{spec("Vpc", `{policyRoutes: [{priority: 1, action: reroute}]}`), "spec.policyRoutes[0].nextHopIP", "required when action is reroute"},
		{spec("Vpc", `{vpcPeerings: [{remoteVpc: b, localConnectIP: 169.254.0.1}]}`), "spec.vpcPeerings[0].localConnectIP", "prefix length"},
		{spec("Vpc", `{bfdPort: {enabled: true}}`), "spec.bfdPort.ip", "required when spec.bfdPort.enabled is true"},
		{spec("Vpc", `{bfdPort: {ip: ten}}`), "spec.bfdPort.ip", "ip must be an address"},

		{spec("IP", `{v4IpAddress: "fd00::1"}`), "spec.v4IpAddress", "must be an IPv4 address"},
		{spec("IP", `{v6IpAddress: 10.0.0.1}`), "spec.v6IpAddress", "must be an IPv6 address"},
		{spec("IP", `{v6IpAddress: "FD00::1"}`), "spec.v6IpAddress", "lower case"},
		{spec("IP", `{ipAddress: 10.0.0.0/8}`), "spec.ipAddress", "ipAddress must be an address"},
		{spec("IP", `{macAddress: 00:00:00:6f:a1}`), "spec.macAddress", "six bytes"},

		{spec("IPPool", `{ips: [10.0.0.1]}`), "spec.subnet", "Required value"},
		{spec("IPPool", `{subnet: "", ips: [10.0.0.1]}`), "spec.subnet", "at least 1 chars"},
		{spec("IPPool", `{subnet: s}`), "spec.ips", "Required value"},
		{spec("IPPool", `{subnet: s, ips: [10.0.0.1, 10.0.0.5-10.0.0.9]}`), "spec.ips[1]", "ips must hold addresses"},

		{spec("Vlan", `{id: 4096, provider: p}`), "spec.id", "less than or equal to 4095"},
		{spec("Vlan", `{id: -1, provider: p}`), "spec.id", "greater than or equal to 0"},
		{spec("Vlan", `{id: 1}`), "spec.provider", "Required value"},

		{named("ProviderNetwork", "thirteenchars", `{defaultInterface: eth0}`), "", "at most 12 characters"},
		{spec("ProviderNetwork", `{}`), "spec.defaultInterface", "Required value"},
		{spec("ProviderNetwork", `{defaultInterface: enp0s31f6-too-long}`), "spec.defaultInterface", "may not be more than 15"},
		{spec("ProviderNetwork", `{defaultInterface: a/b}`), "spec.defaultInterface", "should match"},
		{spec("ProviderNetwork", `{defaultInterface: e, customInterfaces: [{interface: "a b", nodes: [n]}]}`), "spec.customInterfaces[0].interface", "should match"},
	}
	v := newValidators(t)
	for _, c := range cases {
		errs := v.check(t.Context(), parse(t, c.object), nil)
		found := false
		for _, err := range errs {
			path := strings.TrimPrefix(err.Field, "<nil>")
			found = found || path == c.path && strings.Contains(err.Error(), c.message)
		}
		if !found {
			t.Errorf("%s\n\tgot  %v\n\twant %s: … %s …", c.object, errs.ToAggregate(), c.path, c.message)
		}
	}
}

// TestOddObjectsAreAccepted holds what Kube-OVN accepts and works with although
// it looks odd: the schemas must let it pass.
func TestOddObjectsAreAccepted(t *testing.T) {
	v := newValidators(t)
	for _, object := range []string{
		spec("Subnet", `{cidrBlock: 10.16.0.1/16}`),
		spec("Subnet", `{cidrBlock: "10.16.0.0/16,fd00::/64", gateway: 10.16.0.1}`),
		spec("Subnet", `{cidrBlock: "10.16.0.0/16,fd00::/64", gateway: "fd00::1"}`),
		spec("Subnet", `{cidrBlock: "fd00:0000:0000:0000::/64", protocol: IPv4}`),
		spec("Subnet", `{cidrBlock: 10.16.0.0/30, gatewayType: "", protocol: "", gateway: "", gatewayNode: "", vlan: "", mtu: 0}`),
		spec("Subnet", `{cidrBlock: 10.16.0.0/16, gatewayNode: "node1, node2:172.18.0.3"}`),
		spec("Subnet", `{cidrBlock: 10.16.0.0/16, mtu: 9000, provider: net1.default}`),
		spec("Subnet", `{cidrBlock: 10.16.0.0/16, excludeIps: []}`),
		spec("Subnet", `{cidrBlock: 10.16.0.0/16, logicalGateway: true, u2oInterconnection: true}`),
		spec("Subnet", `{cidrBlock: 10.16.0.0/16, u2oInterconnectionIP: "left over"}`),
		spec("Subnet", `{cidrBlock: 10.16.0.0/16, natOutgoingPolicyRules: [{action: nat, match: {srcIPs: " 10.16.0.0/24,10.16.1.5 "}}]}`),
		spec("Subnet", `{vlan: v10, protocol: Mac, gateway: "", excludeIps: []}`),
		`{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: x}}`,
		spec("Vpc", `{}`),
		`{apiVersion: kubeovn.io/v1, kind: Vpc, metadata: {name: x}}`,
		spec("Vpc", `{staticRoutes: [{cidr: 10.0.0.5, nextHopIP: 10.0.0.1, policy: "", ecmpMode: "", bfdId: "", routeTable: ""}]}`),
		spec("Vpc", `{policyRoutes: [{priority: 0, action: allow, match: ip4, nextHopIP: ""}]}`),
		spec("IP", `{podName: a, namespace: b, subnet: c, attachIps: [], attachMacs: [], attachSubnets: [], ipAddress: "", v4IpAddress: "", v6IpAddress: "", macAddress: ""}`),
		spec("IP", `{ipAddress: 10.0.0.1, macAddress: "0A:00:00:00:00:01"}`),
		spec("IPPool", `{subnet: s, ips: [10.0.0.1, 10.0.0.5..10.0.0.9, 10.0.1.0/28, "FD00::1"]}`),
		spec("Vlan", `{provider: p}`),
		spec("Vlan", `{id: 4095, provider: p, vlanId: 5, providerInterfaceName: eth0}`),
		spec("ProviderNetwork", `{defaultInterface: enp0s31f6.1000}`),
		named("ProviderNetwork", "twelve-chars", `{defaultInterface: eth0, nodeSelector: {matchLabels: {a: b}}}`),
	} {
		if errs := v.check(t.Context(), parse(t, object), nil); len(errs) > 0 {
			t.Errorf("%s: %v", object, errs.ToAggregate())
		}
	}
}

func TestIPPoolStaysInItsSubnet(t *testing.T) {
	v := newValidators(t)
	old := parse(t, spec("IPPool", `{subnet: a, ips: [10.0.0.1]}`))
	errs := v.check(t.Context(), parse(t, spec("IPPool", `{subnet: b, ips: [10.0.0.1]}`)), old)
	if len(errs) != 1 || errs[0].Field != "spec.subnet" || !strings.Contains(errs[0].Error(), "cannot be changed") {
		t.Errorf("moving to another subnet gives %v", errs)
	}
	errs = v.check(t.Context(), parse(t, spec("IPPool", `{subnet: a, ips: [10.0.0.2]}`)), old)
	if len(errs) > 0 {
		t.Errorf("other addresses are refused: %v", errs)
	}
}

func TestDefaults(t *testing.T) {
	v := newValidators(t)
	pool := parse(t, spec("IPPool", `{subnet: a, ips: [10.0.0.1]}`))
	vpc := parse(t, spec("Vpc", `{bfdPort: {}}`))
	v.check(t.Context(), pool, nil)
	v.check(t.Context(), vpc, nil)
	if diff := cmp.Diff(map[string]any{"subnet": "a", "ips": []any{"10.0.0.1"}, "enableAddressSet": false}, pool["spec"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"bfdPort": map[string]any{"enabled": false}}, vpc["spec"]); diff != "" {
		t.Error(diff)
	}
}
