// SPDX-License-Identifier: Apache-2.0

package podnet_test

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/podnet"
)

var (
	ref  = podnet.Ref{Namespace: "shop", Name: "web-0", IfName: "eth0"}
	good = map[string]string{
		"ovn.kubernetes.io/allocated":      "true",
		"ovn.kubernetes.io/routed":         "true",
		"ovn.kubernetes.io/ip_address":     "10.16.0.5,fd00::5",
		"ovn.kubernetes.io/cidr":           "10.16.0.0/16,fd00::/112",
		"ovn.kubernetes.io/gateway":        "10.16.0.1,fd00::1",
		"ovn.kubernetes.io/mac_address":    "0a:00:00:00:00:05",
		"ovn.kubernetes.io/logical_switch": "ovn-default",
		"ovn.kubernetes.io/routes":         `[{"dst":"192.168.0.0/16","gw":"10.16.0.254"},{"dst":"fd01::/64"}]`,
	}
)

func cmpNetip() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

func TestParse(t *testing.T) {
	want := podnet.Network{
		Namespace: "shop", Name: "web-0", UID: "u1", Provider: "ovn", Port: "web-0.shop", LogicalSwitch: "ovn-default",
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.16.0.5/16"), netip.MustParsePrefix("fd00::5/112")},
		Gateways:  []netip.Addr{netip.MustParseAddr("10.16.0.1"), netip.MustParseAddr("fd00::1")},
		MAC:       net.HardwareAddr{0x0a, 0, 0, 0, 0, 5},
		Routes: []podnet.Route{
			{Dst: netip.MustParsePrefix("192.168.0.0/16"), Gateway: netip.MustParseAddr("10.16.0.254")},
			{Dst: netip.MustParsePrefix("fd01::/64"), Gateway: netip.MustParseAddr("fd00::1")},
		},
		DefaultRoute: true,
	}
	got, err := podnet.Parse(ref, "u1", good)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpNetip()); d != "" {
		t.Fatal(d)
	}
}

// The port of a pod that runs a VM bears the name of the VM.
func TestParseVirtualMachine(t *testing.T) {
	ann := maps.Clone(good)
	ann["ovn.kubernetes.io/virtualmachine"] = "db"
	if got, err := podnet.Parse(ref, "u1", ann); err != nil || got.Port != "db.shop" || got.Name != "web-0" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestParseSecondProvider(t *testing.T) {
	ann := map[string]string{}
	for k, v := range good {
		ann["net1.ns1."+k] = v
	}
	r := ref
	r.Provider, r.IfName = "net1.ns1.ovn", "net1"
	got, err := podnet.Parse(r, "u1", ann)
	if err != nil {
		t.Fatal(err)
	}
	if got.Port != "web-0.shop.net1.ns1.ovn" || got.DefaultRoute {
		t.Fatalf("got %+v", got)
	}
}

func TestParseOneFamilyOfTwo(t *testing.T) {
	ann := maps.Clone(good)
	ann["ovn.kubernetes.io/ip_address"] = "fd00::5"
	ann["ovn.kubernetes.io/routes"] = ""
	got, err := podnet.Parse(ref, "u1", ann)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Addresses) != 1 || len(got.Gateways) != 1 || got.Gateways[0].Is4() {
		t.Fatalf("got %+v", got)
	}
}

// A route without a destination is the default route of its gateway's family.
func TestParseDefaultRoute(t *testing.T) {
	ann := maps.Clone(good)
	ann["ovn.kubernetes.io/routes"] = `[{"gw":"10.16.0.254"},{"dst":"114.114.114.0/26","gw":"10.16.0.253"},{"dst":"","gw":"fd00::fe"}]`
	got, err := podnet.Parse(ref, "u1", ann)
	if err != nil {
		t.Fatal(err)
	}
	want := []podnet.Route{
		{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.16.0.254")},
		{Dst: netip.MustParsePrefix("114.114.114.0/26"), Gateway: netip.MustParseAddr("10.16.0.253")},
		{Dst: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fd00::fe")},
	}
	if d := cmp.Diff(want, got.Routes, cmpNetip()); d != "" {
		t.Error(d)
	}
	ann["ovn.kubernetes.io/ip_address"] = "10.16.0.5"
	if _, err := podnet.Parse(ref, "u1", ann); err == nil || !strings.Contains(err.Error(), "[2]: gw: the interface has no address of the IP family of fd00::fe") {
		t.Errorf("a gateway of a family that the pod does not have: %v", err)
	}
	if err := podnet.CheckRoutes(ann); err != nil {
		t.Errorf("before the pod has addresses: %v", err)
	}
}

// An address that the subnet does not contain, or no longer has the family of, is not taken for a mistake.
func TestParseOutside(t *testing.T) {
	for cidr, outside := range map[string]bool{"10.17.0.0/16,fd00::/112": true, "10.16.0.0/16": true, "fd00::/112": true, "": false, "x": false} {
		ann := maps.Clone(good)
		ann["ovn.kubernetes.io/cidr"] = cidr
		if _, err := podnet.Parse(ref, "u1", ann); err == nil || errors.Is(err, podnet.ErrOutside) != outside {
			t.Errorf("%q: %v", cidr, err)
		}
	}
}

func TestParseNamesPodAnnotationAndCause(t *testing.T) {
	for name, tc := range map[string]struct{ key, value, want string }{
		"no address":        {"ip_address", "", "ip_address: is empty"},
		"not an address":    {"ip_address", "10.16.0", `ip_address: "10.16.0": "10.16.0" is not an address`},
		"two of a family":   {"ip_address", "10.16.0.5,10.16.0.6", "both parts have the same IP family"},
		"outside":           {"ip_address", "10.17.0.5", "ip_address: 10.17.0.5 is outside the subnet's CIDR 10.16.0.0/16"},
		"no cidr":           {"cidr", "", "cidr: \"\" has no prefix for the address 10.16.0.5"},
		"bad cidr":          {"cidr", "10.16.0.0", `cidr: "10.16.0.0": "10.16.0.0" is not a CIDR`},
		"bad gateway":       {"gateway", "x", `gateway: "x": "x" is not an address`},
		"no mac":            {"mac_address", "", `mac_address: is empty`},
		"multicast mac":     {"mac_address", "01:00:5e:00:00:01", "a group address cannot belong to one interface"},
		"long mac":          {"mac_address", "02:00:5e:10:00:00:00:01", "not a MAC address"},
		"routes not a list": {"routes", "{}", "routes: is not a JSON list"},
		"route dst":         {"routes", `[{"dst":"x"}]`, `routes: [0]: dst: "x" is not a CIDR`},
		"route empty":       {"routes", `[{}]`, `routes: [0]: has neither dst nor gw`},
		"route misspelled":  {"routes", `[{"dest":"192.0.2.0/24","gw":"10.16.0.1"}]`, `unknown field "dest"`},
		"route and more":    {"routes", `[] []`, `text follows the list`},
		"route gw":          {"routes", `[{"gw":"10.16.0"}]`, `routes: [0]: gw: "10.16.0" is not an IP address`},
		"route family":      {"routes", `[{"dst":"::/0","gw":"10.16.0.1"}]`, "different IP families"},
		"default route":     {"default_route", "yes", `default_route: "yes" is neither`},
	} {
		t.Run(name, func(t *testing.T) {
			ann := maps.Clone(good)
			ann["ovn.kubernetes.io/"+tc.key] = tc.value
			_, err := podnet.Parse(ref, "u1", ann)
			if err == nil || !strings.HasPrefix(err.Error(), "pod shop/web-0: annotation ovn.kubernetes.io/") || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestPending(t *testing.T) {
	if p := podnet.Pending(ref, good); p != "" {
		t.Fatalf("got %q", p)
	}
	ann := maps.Clone(good)
	delete(ann, "ovn.kubernetes.io/routed")
	if p := podnet.Pending(ref, ann); p != `annotation ovn.kubernetes.io/routed is not yet "true"` {
		t.Fatalf("got %q", p)
	}
}

// FuzzParse: no text in an annotation makes Parse panic, and what it accepts is consistent.
func FuzzParse(f *testing.F) {
	f.Add("10.16.0.5,fd00::5", "10.16.0.0/16,fd00::/112", "10.16.0.1", "0a:00:00:00:00:05", `[{"dst":"0.0.0.0/0"}]`)
	f.Add("", "", "", "", "")
	f.Add("::ffff:10.0.0.1", "::/0", ",", "0a-00-00-00-00-05", "[]")
	f.Fuzz(func(t *testing.T, ip, cidr, gw, mac, routes string) {
		n, err := podnet.Parse(ref, "u1", map[string]string{
			"ovn.kubernetes.io/ip_address": ip, "ovn.kubernetes.io/cidr": cidr, "ovn.kubernetes.io/gateway": gw,
			"ovn.kubernetes.io/mac_address": mac, "ovn.kubernetes.io/routes": routes,
		})
		if err != nil {
			return
		}
		if len(n.Addresses) == 0 || len(n.Addresses) > 2 || len(n.MAC) != 6 {
			t.Fatalf("accepted %+v", n)
		}
		for _, a := range n.Addresses {
			if !a.IsValid() {
				t.Fatalf("accepted address %v", a)
			}
		}
		for _, r := range n.Routes {
			if !r.Dst.IsValid() || r.Gateway.Is4() != r.Dst.Addr().Is4() {
				t.Fatalf("accepted route %+v", r)
			}
		}
	})
}
