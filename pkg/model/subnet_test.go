// SPDX-License-Identifier: Apache-2.0

package model

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

var compareNetip = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func addrs(v4, v6 string) Addrs { return Addrs{V4: addr(v4), V6: addr(v6)} }

func prefixes(text string) Prefixes {
	p, err := ParsePrefixes(text)
	if err != nil {
		panic(err)
	}
	return p
}

func rangesOf(texts ...string) []Range {
	var out []Range
	for _, text := range texts {
		r, err := ParseRange(text)
		if err != nil {
			panic(err)
		}
		out = append(out, r)
	}
	return out
}

func subnetObject(spec v1.SubnetSpec) *v1.Subnet {
	return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "apps"}, Spec: spec}
}

func TestSubnetFromFillsInDefaults(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := subnetObject(v1.SubnetSpec{
		CIDRBlock:  "10.17.3.9/16,FD00:10:17::9/64",
		ExcludeIPs: []string{"10.17.0.15..10.17.0.30", "10.17.0.10..10.17.0.20", "fd00:10:17::7", "10.17.0.9"},
		Mtu:        1400, NatOutgoing: true, Private: true, Default: true, Namespaces: []string{"shop"},
		NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "lab"}}},
	})
	o.CreationTimestamp, o.UID, o.Finalizers = metav1.NewTime(created), "u", []string{annotations.Finalizer}
	got, list := SubnetFrom(o)
	want := Subnet{
		Meta: Meta{Name: "apps", UID: "u", Created: created.Unix(), Finalized: true},
		Vpc:  "ovn-cluster", Provider: "ovn", CIDR: prefixes("10.17.0.0/16,fd00:10:17::/64"),
		Gateway: addrs("10.17.0.1", "fd00:10:17::1"),
		Exclude: rangesOf("10.17.0.1", "10.17.0.9", "10.17.0.10..10.17.0.30", "fd00:10:17::1", "fd00:10:17::7"),
		Default: true, GatewayType: GatewayDistributed, NatOutgoing: true, Isolation: Isolation{Private: true}, MTU: 1400,
		Namespaces: []string{"shop"}, NamespaceSelectors: []string{"team=lab"},
	}
	if diff := cmp.Diff(want, got, compareNetip); diff != "" {
		t.Error(diff)
	}
	if len(list) != 0 {
		t.Errorf("problems: %v", list)
	}
}

func TestSubnetFromSpecialKinds(t *testing.T) {
	for name, tc := range map[string]struct {
		spec v1.SubnetSpec
		want Subnet
	}{
		"custom Vpc has no default gateway type": {
			v1.SubnetSpec{Vpc: "blue", CIDRBlock: "10.0.0.0/24", Gateway: "10.0.0.254"},
			Subnet{Vpc: "blue", Provider: "ovn", CIDR: prefixes("10.0.0.0/24"), Gateway: addrs("10.0.0.254", ""), Exclude: rangesOf("10.0.0.254")},
		},
		"addresses for another CNI plugin have no Vpc": {
			v1.SubnetSpec{Provider: "net1.ns1", CIDRBlock: "fd00::/64"},
			Subnet{Provider: "net1.ns1", CIDR: prefixes("fd00::/64"), Gateway: addrs("", "fd00::1"), Exclude: rangesOf("fd00::1")},
		},
		"further OVN interface": {
			v1.SubnetSpec{Provider: "net1.ns1.ovn", CIDRBlock: "10.0.0.0/30"},
			Subnet{Vpc: "ovn-cluster", Provider: "net1.ns1.ovn", CIDR: prefixes("10.0.0.0/30"), Gateway: addrs("10.0.0.1", ""), Exclude: rangesOf("10.0.0.1"), GatewayType: GatewayDistributed},
		},
		"underlay without a CIDR": {
			v1.SubnetSpec{Vlan: "v", Protocol: v1.ProtocolMAC},
			Subnet{Vpc: "ovn-cluster", Provider: "ovn", Vlan: "v", GatewayType: GatewayDistributed},
		},
		"one gateway of two is given": {
			v1.SubnetSpec{CIDRBlock: "10.0.0.0/24,fd00::/64", Gateway: "fd00::5", GatewayType: v1.GatewayCentralized},
			Subnet{
				Vpc: "ovn-cluster", Provider: "ovn", CIDR: prefixes("10.0.0.0/24,fd00::/64"), Gateway: addrs("10.0.0.1", "fd00::5"),
				Exclude: rangesOf("10.0.0.1", "fd00::5"), GatewayType: GatewayCentralized,
			},
		},
		"point to point": {
			v1.SubnetSpec{CIDRBlock: "10.0.0.0/31"},
			Subnet{Vpc: "ovn-cluster", Provider: "ovn", CIDR: prefixes("10.0.0.0/31"), Gateway: addrs("10.0.0.0", ""), Exclude: rangesOf("10.0.0.0"), GatewayType: GatewayDistributed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, list := SubnetFrom(subnetObject(tc.spec))
			tc.want.Name = "apps"
			if diff := cmp.Diff(tc.want, got, compareNetip); diff != "" {
				t.Error(diff)
			}
			if list = supported(list); len(list) != 0 {
				t.Errorf("problems: %v", list)
			}
		})
	}
}

func TestSubnetProblems(t *testing.T) {
	ok := v1.SubnetSpec{CIDRBlock: "10.0.0.0/24,fd00::/64"}
	underlay := func(s *v1.SubnetSpec) { s.Vlan, s.U2OInterconnection = "v", true }
	egress := func(s *v1.SubnetSpec) {
		s.ExternalEgressGateway, s.PolicyRoutingPriority, s.PolicyRoutingTableID = "192.168.0.1", 1, 1000
	}
	for name, tc := range map[string]struct {
		change func(*v1.SubnetSpec)
		want   string // field: message of the only problem
		fatal  bool
	}{
		"no CIDR":         {func(s *v1.SubnetSpec) { s.CIDRBlock = "" }, `spec.cidrBlock: it is empty; only an underlay subnet (spec.vlan) may have no CIDR`, true},
		"bad CIDR":        {func(s *v1.SubnetSpec) { s.CIDRBlock = "10.0.0.0/33" }, `spec.cidrBlock: "10.0.0.0/33": "10.0.0.0/33" is not a CIDR: prefix length out of range`, true},
		"three CIDRs":     {func(s *v1.SubnetSpec) { s.CIDRBlock = "10.0.0.0/24,fd00::/64,fd01::/64" }, `spec.cidrBlock: "10.0.0.0/24,fd00::/64,fd01::/64": it has 3 parts; at most one for IPv4 and one for IPv6 are allowed`, true},
		"one family":      {func(s *v1.SubnetSpec) { s.CIDRBlock = "10.0.0.0/24,10.1.0.0/24" }, `spec.cidrBlock: "10.0.0.0/24,10.1.0.0/24": both parts have the same IP family`, true},
		"loopback":        {func(s *v1.SubnetSpec) { s.CIDRBlock = "127.0.0.0/8" }, `spec.cidrBlock: 127.0.0.0/8 begins with 127.0.0.0, which is a loopback address`, true},
		"multicast":       {func(s *v1.SubnetSpec) { s.CIDRBlock = "ff00::/64" }, `spec.cidrBlock: ff00::/64 begins with ff00::, which is a multicast address`, true},
		"link-local":      {func(s *v1.SubnetSpec) { s.CIDRBlock = "fe80::/64" }, `spec.cidrBlock: fe80::/64 begins with fe80::, which is a link-local address`, true},
		"everything":      {func(s *v1.SubnetSpec) { s.CIDRBlock = "0.0.0.0/0" }, `spec.cidrBlock: 0.0.0.0/0 begins with 0.0.0.0, which is an unspecified address (RFC 1122, 3.2.1.3)`, true},
		"mapped":          {func(s *v1.SubnetSpec) { s.CIDRBlock = "::ffff:10.0.0.0/120" }, `spec.cidrBlock: "::ffff:10.0.0.0/120": "::ffff:10.0.0.0/120" is not a plain IPv4 or IPv6 prefix`, true},
		"single":          {func(s *v1.SubnetSpec) { s.CIDRBlock = "10.0.0.1/32" }, `spec.cidrBlock: 10.0.0.1/32 is a single address: no address is left for pods`, true},
		"gateway outside": {func(s *v1.SubnetSpec) { s.Gateway = "10.0.1.1" }, `spec.gateway: 10.0.1.1 is not in the CIDR 10.0.0.0/24`, true},
		"gateway network": {func(s *v1.SubnetSpec) { s.Gateway = "10.0.0.255" }, `spec.gateway: 10.0.0.255 is the network or broadcast address of the CIDR 10.0.0.0/24`, true},
		"gateway text":    {func(s *v1.SubnetSpec) { s.Gateway = "10.0.0" }, `spec.gateway: "10.0.0": "10.0.0" is not an address: IPv4 address too short`, true},
		"gateway family": {
			func(s *v1.SubnetSpec) { s.CIDRBlock, s.Gateway = "10.0.0.0/24", "fd00::1" },
			`spec.gateway: fd00::1 has an IP family that cidrBlock "10.0.0.0/24" does not have`, true,
		},
		"exclude text":     {func(s *v1.SubnetSpec) { s.ExcludeIPs = []string{"10.0.0.5-7"} }, `spec.excludeIps: "10.0.0.5-7": "10.0.0.5-7" is not an address: unexpected character (at "-7")`, true},
		"exclude reversed": {func(s *v1.SubnetSpec) { s.ExcludeIPs = []string{"10.0.0.7..10.0.0.5"} }, `spec.excludeIps: "10.0.0.7..10.0.0.5": it ends before it begins: 10.0.0.5 is lower than 10.0.0.7`, true},
		"exclude families": {func(s *v1.SubnetSpec) { s.ExcludeIPs = []string{"10.0.0.7..fd00::1"} }, `spec.excludeIps: "10.0.0.7..fd00::1": the ends have different IP families`, true},
		"exclude outside":  {func(s *v1.SubnetSpec) { s.ExcludeIPs = []string{"10.0.0.7..10.0.1.5"} }, `spec.excludeIps: 10.0.0.7..10.0.1.5 is not in the CIDR 10.0.0.0/24,fd00::/64`, true},
		"exclude nothing":  {func(s *v1.SubnetSpec) { *s = v1.SubnetSpec{Vlan: "v", ExcludeIPs: []string{"10.0.0.7"}} }, `spec.excludeIps: "10.0.0.7": without a CIDR there is no address to exclude`, true},
		"gateway type":     {func(s *v1.SubnetSpec) { s.GatewayType = "both" }, `spec.gatewayType: "both" is neither distributed nor centralized`, true},
		"vpc":              {func(s *v1.SubnetSpec) { s.Vpc = "apps" }, `spec.vpc: "apps" is the name of the Subnet itself: the ports between router and switch would have the same name`, true},
		"provider":         {func(s *v1.SubnetSpec) { s.Provider = "a_b" }, `spec.provider: "a_b" cannot begin an annotation: `, true},
		"mtu":              {func(s *v1.SubnetSpec) { s.Mtu = 1279 }, `spec.mtu: 1279 is less than 1280, the least that IPv6 works with (RFC 8200, 5)`, true},
		"selector": {func(s *v1.SubnetSpec) {
			s.NamespaceSelectors = []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}}
		}, `spec.namespaceSelectors: element 0 is not a label selector and selects nothing: "Is" is not a valid label selector operator`, false},
		"gateway node":    {func(s *v1.SubnetSpec) { s.GatewayNode = "n1, n2:10.0.0.x" }, `spec.gatewayNode: node n2: "10.0.0.x" is not an address: unexpected character (at "x")`, false},
		"gateway name":    {func(s *v1.SubnetSpec) { s.GatewayNode = "N_1" }, `spec.gatewayNode: "N_1" is not the name of a node: `, false},
		"vip outside":     {func(s *v1.SubnetSpec) { s.Vips = []string{"10.0.1.1"} }, `spec.vips: 10.0.1.1 is not a host address of the CIDR "10.0.0.0/24,fd00::/64"`, false},
		"allowed":         {func(s *v1.SubnetSpec) { s.AllowSubnets = []string{"10.0.1.1"} }, `spec.allowSubnets: "10.0.1.1" is not a CIDR: no '/'`, false},
		"egress":          {func(s *v1.SubnetSpec) { egress(s); s.ExternalEgressGateway = "a" }, `spec.externalEgressGateway: "a": "a" is not an address: unable to parse IP`, false},
		"egress nat":      {func(s *v1.SubnetSpec) { egress(s); s.NatOutgoing = true }, `spec.externalEgressGateway: "192.168.0.1" cannot be used while natOutgoing is true: the external router would see node addresses`, false},
		"egress table":    {func(s *v1.SubnetSpec) { egress(s); s.PolicyRoutingTableID = 254 }, `spec.policyRoutingTableID: 254 belongs to the kernel; externalEgressGateway needs a table of its own`, false},
		"egress priority": {func(s *v1.SubnetSpec) { egress(s); s.PolicyRoutingPriority = 0 }, `spec.policyRoutingPriority: it is 0; externalEgressGateway needs a priority`, false},
		"logical gateway": {func(s *v1.SubnetSpec) { underlay(s); s.LogicalGateway = true }, `spec.u2oInterconnection: it is true and so is logicalGateway; a subnet has one or the other`, false},
		"overlay only":    {func(s *v1.SubnetSpec) { s.U2OFeatures.OverlayOnlyRouting = true }, `spec.u2oFeatures.overlayOnlyRouting: it is true without u2oInterconnection and vlan, and has no effect`, false},
		"u2o outside":     {func(s *v1.SubnetSpec) { underlay(s); s.U2OInterconnectionIP = "10.9.0.2" }, `spec.u2oInterconnectionIP: 10.9.0.2 is not a host address of the CIDR "10.0.0.0/24,fd00::/64"`, false},
		"u2o gateway":     {func(s *v1.SubnetSpec) { underlay(s); s.U2OInterconnectionIP = "10.0.0.1" }, `spec.u2oInterconnectionIP: 10.0.0.1 is the gateway of the subnet, which is a different router`, false},
		"nat rule": {func(s *v1.SubnetSpec) {
			s.NatOutgoingPolicyRules = []v1.NatOutgoingPolicyRule{{Match: v1.NatOutgoingPolicyMatch{SrcIPs: "10.0.0.1, 10.0.0.0/25", DstIPs: "fd01::/64"}, Action: "nat"}}
		}, `spec.natOutgoingPolicyRules.match: srcIPs "10.0.0.1, 10.0.0.0/25" and dstIPs "fd01::/64" mix IPv4 and IPv6; no packet has both`, false},
		"nat address": {func(s *v1.SubnetSpec) {
			s.NatOutgoingPolicyRules = []v1.NatOutgoingPolicyRule{{Match: v1.NatOutgoingPolicyMatch{DstIPs: "10.0.0.0/40"}, Action: "nat"}}
		}, `spec.natOutgoingPolicyRules.match.dstIPs: "10.0.0.0/40" is not a CIDR: prefix length out of range`, false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := *ok.DeepCopy()
			tc.change(&spec)
			_, list := SubnetFrom(subnetObject(spec))
			if list = supported(list); len(list) != 1 {
				t.Fatalf("got %d problems, want 1: %v", len(list), list)
			}
			got := list[0]
			if !strings.HasPrefix(got.Error(), tc.want) || got.Fatal != tc.fatal || got.Reason != ReasonSubnetInvalid {
				t.Errorf("got  %s (fatal %v)\nwant %s (fatal %v)", got.Error(), got.Fatal, tc.want, tc.fatal)
			}
			if tc.fatal && SubnetDefaults(subnetObject(spec)) != nil {
				t.Error("a wrong spec would be written back")
			}
		})
	}
}

func TestLongValuesAreShortenedInMessages(t *testing.T) {
	_, list := SubnetFrom(subnetObject(v1.SubnetSpec{CIDRBlock: strings.Repeat("x", 1<<16)}))
	if len(list) != 1 || len(list[0].Message) > 1000 {
		t.Errorf("got %d problems, the first of %d bytes", len(list), len(list[0].Message))
	}
}

func TestSubnetDefaults(t *testing.T) {
	got := SubnetDefaults(subnetObject(v1.SubnetSpec{
		CIDRBlock: "10.17.3.9/16", ExcludeIPs: []string{"10.17.0.9", "10.17.0.10..10.17.0.30", "10.17.0.15"},
		Protocol: v1.ProtocolIPv6, U2OInterconnection: true, U2OInterconnectionIP: "10.17.0.3", Mtu: 1400,
	}))
	want := v1.SubnetSpec{
		Provider: "ovn", Vpc: "ovn-cluster", CIDRBlock: "10.17.0.0/16", Gateway: "10.17.0.1", Protocol: v1.ProtocolIPv4,
		ExcludeIPs:  []string{"10.17.0.1", "10.17.0.10..10.17.0.30", "10.17.0.9"},
		GatewayType: v1.GatewayDistributed, Mtu: 1400,
	}
	if got == nil {
		t.Fatal("nothing to write back")
	}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Error(diff)
	}
	if again := SubnetDefaults(got); again != nil {
		t.Errorf("the defaults have defaults: %v", cmp.Diff(got.Spec, again.Spec))
	}
}

func TestOverlaps(t *testing.T) {
	a := Subnet{Meta: Meta{Name: "a", Created: 10}, Vpc: "v", CIDR: prefixes("10.0.0.0/16")}
	b := Subnet{Meta: Meta{Name: "b", Created: 20}, Vpc: "v", CIDR: prefixes("10.0.7.0/24")}
	got, ok := Overlaps(b, a)
	if want := "spec.cidrBlock: 10.0.7.0/24 of Subnet b overlaps 10.0.0.0/16 of Subnet a in Vpc v; the older one, a, keeps its addresses"; !ok || !got.Fatal || got.Error() != want {
		t.Errorf("got %v %v, want %s", got, ok, want)
	}
	for name, change := range map[string]func(a, b *Subnet){
		"the older one wins":  func(a, b *Subnet) { *a, *b = *b, *a },
		"itself":              func(a, b *Subnet) { *a = *b },
		"other Vpc":           func(_, b *Subnet) { b.Vpc = "w" },
		"no Vpc":              func(a, b *Subnet) { a.Vpc, b.Vpc = "", "" },
		"one is on a vlan":    func(_, b *Subnet) { b.Vlan = "x" },
		"different addresses": func(_, b *Subnet) { b.CIDR = prefixes("10.1.0.0/16,fd00::/64") },
	} {
		x, y := a, b
		change(&x, &y)
		if p, ok := Overlaps(y, x); ok {
			t.Errorf("%s: %v", name, p)
		}
	}
	a.Created, a.Vlan, b.Vlan, a.Vpc = 20, "x", "x", "w"
	if _, ok := Overlaps(a, b); ok {
		t.Error("of two of the same age, the first by name must win")
	}
	if p, ok := Overlaps(b, a); !ok || !strings.Contains(p.Message, "in vlan x") {
		t.Errorf("same vlan: %v %v", p, ok)
	}
	a.CIDR, b.CIDR = prefixes("10.0.0.0/16,fd00::/48"), prefixes("10.1.0.0/16,fd00::/64")
	if p, ok := Overlaps(b, a); !ok || !strings.Contains(p.Message, "fd00::/64 of Subnet b overlaps fd00::/48") {
		t.Errorf("IPv6 alone: %v %v", p, ok)
	}
}

func TestOverlapsNodeAndServers(t *testing.T) {
	s := Subnet{Meta: Meta{Name: "s"}, Vpc: DefaultVpc, CIDR: prefixes("172.18.0.0/16")}
	n := Node{Meta: Meta{Name: "n1"}, InternalIPs: []netip.Addr{addr("fd00::1"), addr("172.18.0.3")}}
	p, ok := OverlapsNode(s, n)
	if want := "spec.cidrBlock: 172.18.0.0/16 of Subnet s contains InternalIP 172.18.0.3 of Node n1"; !ok || p.Error() != want {
		t.Errorf("got %v %v, want %s", p, ok, want)
	}
	infrastructure := Infrastructure{APIServers: []netip.Addr{addr("172.18.0.1")}, Databases: []netip.Addr{addr("fd00::7"), addr("172.18.0.7")}}
	list := OverlapsServers(s, infrastructure)
	if len(list) != 2 || !strings.Contains(list[0].Message, "contains 172.18.0.1, an address of the API server") || !strings.Contains(list[1].Message, "contains 172.18.0.7, an address of OVN's databases") {
		t.Errorf("got %v", list)
	}
	for name, change := range map[string]func(*Subnet){
		"other Vpc":       func(s *Subnet) { s.Vpc = "v" },
		"underlay":        func(s *Subnet) { s.Vlan = "v" },
		"other addresses": func(s *Subnet) { s.CIDR = prefixes("10.0.0.0/8") },
	} {
		other := s
		change(&other)
		if p, ok := OverlapsNode(other, n); ok || len(OverlapsServers(other, infrastructure)) > 0 {
			t.Errorf("%s: %v", name, p)
		}
	}
}

// TestSamplesAreValid: what the repository shows as an example has no problem, except fields that are not supported.
func TestSamplesAreValid(t *testing.T) {
	file, err := os.ReadFile("../../config/samples/subnet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder, count := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(file), 4096), 0
	for {
		var o v1.Subnet
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		count++
		if _, list := SubnetFrom(&o); len(supported(list)) > 0 {
			t.Errorf("%s: %v", o.Name, list)
		}
	}
	if count < 5 {
		t.Errorf("read %d samples", count)
	}
}

func FuzzSubnetFrom(f *testing.F) {
	f.Add("10.0.0.0/24,fd00::/64", "10.0.0.1", "10.0.0.5..10.0.0.9\n10.0.0.7", "", "distributed", "n1:1.2.3.4", uint32(1400))
	f.Add("10.0.0.0/31", "10.0.0.0", "", "vlan", "", "", uint32(0))
	f.Add("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124", "", "::..::1", "", "x", ":", uint32(1))
	f.Fuzz(func(t *testing.T, cidr, gateway, exclude, vlan, gatewayType, nodes string, mtu uint32) {
		o := subnetObject(v1.SubnetSpec{
			CIDRBlock: cidr, Gateway: gateway, Vlan: vlan, GatewayType: v1.GatewayType(gatewayType), GatewayNode: nodes, Mtu: mtu,
		})
		if exclude != "" {
			o.Spec.ExcludeIPs = strings.Split(exclude, "\n")
		}
		checkSubnetFrom(t, o)
	})
}

// checkSubnetFrom holds for every Subnet.
func checkSubnetFrom(t *testing.T, o *v1.Subnet) {
	t.Helper()
	before := o.DeepCopy()
	s, list := SubnetFrom(o)
	defaulted := SubnetDefaults(o)
	if diff := cmp.Diff(before, o); diff != "" {
		t.Fatalf("the object was changed:\n%s", diff)
	}
	for _, p := range list {
		if p.Reason == "" || p.Field == "" || p.Message == "" {
			t.Fatalf("problem says too little: %+v", p)
		}
	}
	if Fatal(list) {
		return
	}
	for _, gw := range Families(s.Gateway) {
		if !HostRange(s.CIDR.Of(gw)).Contains(gw) {
			t.Fatalf("gateway %s is no host of %v", gw, s.CIDR)
		}
	}
	for i, r := range s.Exclude {
		if r.Last.Less(r.First) || i > 0 && !s.Exclude[i-1].Last.Less(r.First) {
			t.Fatalf("excluded ranges are not in order: %v", s.Exclude)
		}
	}
	if defaulted != nil {
		checkDefaults(t, s, list, defaulted)
	}
}

// checkDefaults: spelling out the defaults changes nothing, and is done once.
func checkDefaults(t *testing.T, s Subnet, list []Problem, defaulted *v1.Subnet) {
	t.Helper()
	again, more := SubnetFrom(defaulted)
	if diff := cmp.Diff(s, again, compareNetip); diff != "" || len(more) > len(list) {
		t.Fatalf("the defaults mean something else: %v\n%s", more, diff)
	}
	if twice := SubnetDefaults(defaulted); twice != nil {
		t.Fatalf("the defaults have defaults:\n%s", cmp.Diff(defaulted, twice))
	}
}
