// SPDX-License-Identifier: Apache-2.0

package crd_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"pgregory.net/rapid"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

// The rules exist twice: in the schema, so that the API server refuses an object at once, and in pkg/model, for objects
// that are older than the schema. TestSchemaAndModelAgree runs both on random objects.

// addresses, prefixes and so on are values at the limits of the rules.
var (
	addresses = []string{
		"", "10.16.0.0", "10.16.0.1", "10.16.0.2", "10.16.0.3", "10.16.0.255", "10.17.0.1", "fd00::", "fd00::1", "fd00::2", "fd00::3", "fd00::ffff", "fd01::1",
		"10.16.0.1,fd00::1", "10.16.0.1,fd00::3", "10.16.0.3,fd00::1", "10.16.0.1,10.16.0.2", "fd00::1,10.16.0.1", "10.16.0.1,", ",", "10.16.0.01", "FD00::1", "fd00::1%eth0",
		"::ffff:10.16.0.1", "0.0.0.0", "127.0.0.1", "169.254.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1", "ten", " 10.16.0.1",
		"10.16.0.1, fd00::1", "0.0.0.1", "240.0.0.1", "10.16.0.1/24",
	}
	prefixes = []string{
		"", "10.16.0.0/24", "10.16.0.0/30", "10.16.0.0/31", "10.16.0.2/31", "10.16.0.1/32", "10.16.0.7/24", "10.0.0.0/8", "0.0.0.0/0", "128.0.0.0/1", "fd00::/64", "fd00::/126",
		"fd00::/127", "fd00::2/127", "fd00::1/128", "::/0", "fd00::1/64", "10.16.0.0/24,fd00::/64", "10.16.0.0/31,fd00::/127", "10.16.0.0/24,fd00::/127", "10.16.0.0/30,fd00::/126",
		"fd00::/64,10.16.0.0/24", "10.16.0.0/24,10.17.0.0/24", "10.16.0.0/24,fd00::/64,fd01::/64", "10.16.0.0/24,", "10.16.0.0", "10.16.0.0/33", "10.16.0.0/024",
		"FD00::/64", "::ffff:10.16.0.0/120", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "0.0.0.0/8", "fe80::/64", "ff00::/8", "::1/64", "10.16.0.0/24, fd00::/64",
		"ten", "10.16.0.0/24,fe80::/64", "224.0.0.0/24,fd00::/64", "126.0.0.0/7", "fe00::/7",
	}
	ranges = []string{
		"10.16.0.1", "10.16.0.2..10.16.0.5", "10.16.0.5..10.16.0.2", "fd00::1..fd00::5", "10.16.0.1..fd00::1", "10.16.0.1..", "..", "10.16.0.1..10.16.0.2..10.16.0.3",
		"10.17.0.1", "FD00::1", "10.16.0.1-10.16.0.5", "ten", "", "10.16.0.0/30", "10.16.0.1 .. 10.16.0.2", "fd00::/126", "10.16.0.0", "10.16.0.255", "224.0.0.1", "fe80::1", "10.16.0.1..ten",
	}
	numbers = []int{0, 1, 20, 67, 68, 252, 253, 254, 255, 256, 1279, 1280, 1400, 32767, 32768, 65535, 65536}
	names   = []string{"", "a", "ovn", "ovn-cluster", "x", "a.b", "A", "a b", "net.default", "net.default.ovn", strings.Repeat("n", 254)}
	hosts   = []string{"", "n1", "n1,n2", "n1:10.16.0.1", "n1:10.16.0.1,n1:fd00::1", "n1:ten", "N1", "n 1", "n1:10.16.0.1,n1:10.16.0.2", "n1, n2", "n1:", ":10.16.0.1"}
	lists   = []string{"", "10.16.0.0/24", "10.16.0.1", "10.16.0.1,10.17.0.0/24", "fd00::/64", "10.16.0.1,fd00::1", "10.16.0.0/33", "ten", " 10.16.0.1 ", "10.16.0.1, 10.16.0.2", "10.16.0.1,", "FD00::1", ":", "1.2"}
	options = []string{"", "mtu=1400", "mtu", "unknown=1", "mtu=;drop", "lease_time=7200,mtu=1400"}
	macs    = []string{"", "0a:00:00:00:00:01", "0A:00:00:00:00:01", "0a:00:00:00:00", "00:00:00:00:00:00", "01:00:00:00:00:01", "0a-00-00-00-00-01", "ten", "ff:ff:ff:ff:ff:ff"}
	matches = []string{"", "tcp", "ip4.src == 10.0.0.0/8", "ip4.sorce == 10.0.0.1", "outport == @a"}
)

func one[T any](of ...T) *rapid.Generator[any] { return rapid.SampledFrom(of).AsAny() }

func many[T any](of ...T) *rapid.Generator[any] {
	return rapid.SliceOfN(rapid.SampledFrom(of), 0, 2).AsAny()
}

// someOf draws some of the fields.
func someOf(fields map[string]*rapid.Generator[any]) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if rapid.IntRange(0, 3).Draw(t, "has "+name) == 0 {
				out[name] = fields[name].Draw(t, name)
			}
		}
		return out
	}).AsAny()
}

func listOf(g *rapid.Generator[any]) *rapid.Generator[any] { return rapid.SliceOfN(g, 0, 2).AsAny() }

var booleans = one(true, false)

// specs are the fields of each kind that are checked. Those that are missing have no rules.
var specs = map[string]map[string]*rapid.Generator[any]{
	"Subnet": {
		"cidrBlock": one(prefixes...), "gateway": one(addresses...), "excludeIps": many(ranges...), "vlan": one("", "v"), "vpc": one(names...), "provider": one(names...),
		"gatewayType": one("", "distributed", "centralized", "central"), "protocol": one("", "IPv4", "Dual", "ipv4"), "gatewayNode": one(hosts...),
		"natOutgoing": booleans, "externalEgressGateway": one(addresses...), "policyRoutingPriority": one(numbers...), "policyRoutingTableID": one(numbers...),
		"mtu": one(numbers...), "allowSubnets": many(prefixes...), "vips": many(addresses...), "logicalGateway": booleans, "u2oInterconnection": booleans,
		"u2oInterconnectionIP": one(addresses...), "u2oFeatures": someOf(map[string]*rapid.Generator[any]{"overlayOnlyRouting": booleans}),
		"enableDHCP": booleans, "dhcpV4Options": one(options...), "dhcpV6Options": one(options...), "ipv6RAConfigs": one(options...),
		"acls": listOf(someOf(map[string]*rapid.Generator[any]{
			"direction": one("to-lport", "from-lport", "in", ""), "action": one("drop", "deny", ""), "priority": one(-1, 0, 1300, 32767, 32768), "match": one(matches...),
		})),
		"natOutgoingPolicyRules": listOf(someOf(map[string]*rapid.Generator[any]{
			"action": one("nat", "forward", "snat", ""), "match": someOf(map[string]*rapid.Generator[any]{"srcIPs": one(lists...), "dstIPs": one(lists...)}),
		})),
	},
	"IPPool": {"subnet": one(names...), "ips": many(ranges...), "namespaces": many(names...)},
	"IP": {
		"subnet": one(names...), "ipAddress": one(addresses...), "v4IpAddress": one(addresses...), "v6IpAddress": one(addresses...), "macAddress": one(macs...),
	},
}

// modelProblems returns the problems of an object without its cluster.
func modelProblems(kind string, o map[string]any) ([]model.Problem, error) {
	convert := runtime.DefaultUnstructuredConverter.FromUnstructured
	switch kind {
	case "Subnet":
		var s v1.Subnet
		err := convert(o, &s)
		_, problems := model.SubnetFrom(&s)
		_, egress := model.EgressFrom(&s)
		return append(problems, egress...), err
	case "IPPool":
		var p v1.IPPool
		err := convert(o, &p)
		_, problems := model.IPPoolFrom(&p)
		return problems, err
	default:
		var ip v1.IP
		err := convert(o, &ip)
		_, problems := model.IPFrom(&ip)
		return problems, err
	}
}

// disagreement is a field that only one of the two refuses, for a reason.
type disagreement struct {
	kind, field, message string // of a problem that is fatal, or of an error of the schema; message is a part of it
	reason               string
}

const (
	stored = "pkg/model reads what Kube-OVN accepted and stored; new objects are written in one form, so that texts can be compared"
	noCEL  = "CEL has no arithmetic on addresses"
	backup = "records of a backup of Kube-OVN are restored as they are; one that is of no use gets an event"
)

// schemaOnly are refused by the schema and read by pkg/model.
var schemaOnly = []disagreement{
	{"", "", "must be written in lower case", stored},
	{"", "", "without blanks", stored}, // and in the order IPv4, IPv6
	{"IP", "", "IpAddress must be an IPv4 address", stored},
	{"IP", "", "an IPv4 and an IPv6 address separated by a comma", stored},
	{"IP", "macAddress", "separated by colons", stored},
	{"IPPool", "ips", `"10.16.0.1 .. 10.16.0.2"`, stored},
	{"Subnet", "excludeIps", `"10.16.0.1 .. 10.16.0.2"`, stored},
	{"Subnet", "natOutgoingPolicyRules", "should match", stored},
	{"Subnet", "protocol", "Unsupported value", "it is computed; another value is corrected"},
	{"Subnet", "vpc", "may not be more than 253 bytes", "it waits for a Vpc that cannot be created, and says so"},
}

// modelOnly are fatal in pkg/model and accepted by the schema.
var modelOnly = []disagreement{
	{"IP", "", "", backup},
	{"IPPool", "ips", "it ends before it begins", noCEL},
	{"IPPool", "ips", " is a ", "the addresses must be in the Subnet, whose CIDR has none of these"},
	{"IPPool", "subnet", "is not the name of a Subnet", "no Subnet has such a name, and the IPPool waits for it"},
	{"Subnet", "excludeIps", "it ends before it begins", noCEL},
	{"Subnet", "excludeIps", "is not in the CIDR", "a rule for 32,768 elements and another field costs more than an API server grants"},
	{"Subnet", "gateway", "is the network or broadcast address", noCEL}, // of the last address
}

func excepted(list []disagreement, kind, field, message string) bool {
	return slices.ContainsFunc(list, func(d disagreement) bool {
		return (d.kind == "" || d.kind == kind) && (d.field == "" || d.field == field) && strings.Contains(message, d.message)
	})
}

// onCIDR are the fields whose rules depend on cidrBlock: where that is refused, the others do not matter.
var onCIDR = []string{"gateway", "excludeIps", "mtu", "vips", "u2oInterconnectionIP"}

// fieldOf is the field of the spec that a path is in.
func fieldOf(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "<nil>"), "spec.")
	if end := strings.IndexAny(path, ".["); end >= 0 {
		path = path[:end]
	}
	return path
}

func TestSchemaAndModelAgree(t *testing.T) {
	v := newValidators(t)
	for kind, fields := range specs {
		generator := someOf(fields)
		t.Run(kind, rapid.MakeCheck(func(t *rapid.T) {
			spec := generator.Draw(t, "spec")
			data, err := json.Marshal(map[string]any{"apiVersion": "kubeovn.io/v1", "kind": kind, "metadata": map[string]any{"name": "x"}, "spec": spec})
			if err != nil {
				t.Fatal(err)
			}
			problems, err := modelProblems(kind, decode(t, data))
			if err != nil {
				t.Fatal(err)
			}
			refused := map[string][]string{}
			for _, err := range v.check(t.Context(), decode(t, data), nil) {
				refused[fieldOf(err.Field)] = append(refused[fieldOf(err.Field)], err.Error())
			}
			agree(t, kind, refused, problems)
		}))
	}
}

// agree asserts that what the schema refuses is a problem, and what is a fatal problem is refused.
func agree(t *rapid.T, kind string, refused map[string][]string, problems []model.Problem) {
	found, fatal := map[string]bool{}, map[string][]string{}
	for _, p := range problems {
		found[fieldOf(p.Field)] = true
		if p.Fatal {
			fatal[fieldOf(p.Field)] = append(fatal[fieldOf(p.Field)], p.Error())
		}
	}
	skip := func(field string) bool {
		return slices.Contains(onCIDR, field) && len(fatal["cidrBlock"])+len(refused["cidrBlock"]) > 0
	}
	unexplained := func(by string, messages map[string][]string, list []disagreement, other func(field string) bool) {
		for field, texts := range messages {
			for _, text := range texts {
				if !other(field) && !skip(field) && !excepted(list, kind, field, text) {
					t.Errorf("only %s refuses %s", by, text)
				}
			}
		}
	}
	unexplained("the schema", refused, schemaOnly, func(field string) bool { return found[field] })
	unexplained("pkg/model", fatal, modelOnly, func(field string) bool { return len(refused[field]) > 0 })
}

func decode(t *rapid.T, data []byte) map[string]any {
	var o map[string]any
	if err := utiljson.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}
