// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"slices"
	"strings"
	"testing"
)

func inputsWithServices() Inputs {
	w := inputsDual()
	w.Node.Services = prefixList("169.254.64.2/18", "fd69:254:64::2/112")
	w.Services = prefixList("10.96.0.0/16", "fd00:10:96::/112", "10.200.0.0/24")
	return w
}

func rulesOf(t Table, chain string) (out []string) {
	for _, c := range t.Chains {
		if c.Name == chain {
			for _, r := range c.Rules {
				out = append(out, r.Text)
			}
		}
	}
	return out
}

func TestHostsReachServices(t *testing.T) {
	p := Make(inputsWithServices())
	routes := map[string]string{}
	for _, r := range p.Routes.Want {
		routes[r.Dst.String()] = r.Gateway.String() + " " + r.Source.String() + " " + r.Link
	}
	for dst, want := range map[string]string{
		"10.96.0.0/16":      "100.64.0.1 100.64.0.2 ovn0",
		"10.200.0.0/24":     "100.64.0.1 100.64.0.2 ovn0",
		"169.254.64.0/18":   "100.64.0.1 100.64.0.2 ovn0",
		"fd00:10:96::/112":  "fd00:100:64::1 fd00:100:64::2 ovn0",
		"fd69:254:64::/112": "fd00:100:64::1 fd00:100:64::2 ovn0",
		"10.16.0.0/16":      "100.64.0.1 100.64.0.2 ovn0",
	} {
		if got := routes[dst]; got != want {
			t.Errorf("route to %s is %q, want %q", dst, got, want)
		}
	}
	post := rulesOf(p.Table, "postrouting")
	for _, want := range []string{
		`oifname "ovn0" ip daddr @services4 snat ip to 169.254.64.2 fully-random`,
		`oifname "ovn0" ip6 daddr @services6 snat ip6 to fd69:254:64::2 fully-random`,
	} {
		if !slices.Contains(post, want) {
			t.Errorf("postrouting is %q, without %s", post, want)
		}
	}
	for _, s := range p.Table.Sets {
		want := map[string]string{
			"services4": "10.200.0.0/24 10.96.0.0/16", "services6": "fd00:10:96::/112",
			"nat4": "10.16.0.0/16 169.254.64.0/18", "nat6": "fd00:10:16::/112 fd69:254:64::/112",
		}
		if text, ok := want[s.Name]; ok && strings.Join(s.Elements, " ") != text {
			t.Errorf("set %s is %v, want %s", s.Name, s.Elements, text)
		}
	}
}

// Without an address of their own hosts do not go to Services: kube-proxy may be there for that.
func TestServicesOfAnotherProxy(t *testing.T) {
	w := inputsWithServices()
	w.Node.Services = prefixList("fd69:254:64::2/112")
	p := Make(w)
	for _, r := range p.Routes.Want {
		if r.Dst.String() == "10.96.0.0/16" || r.Dst.String() == "169.254.64.0/18" {
			t.Errorf("route to %s", r.Dst)
		}
	}
	for _, rule := range rulesOf(p.Table, "postrouting") {
		if strings.Contains(rule, "@services4") {
			t.Errorf("rule %s", rule)
		}
	}
	for _, s := range p.Table.Sets {
		if s.Name == "services4" && len(s.Elements) > 0 {
			t.Errorf("set services4 is %v", s.Elements)
		}
	}
}
