// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/model"
)

func addressPair(v4, v6 string) (a model.Addrs) {
	a.V4, _ = netip.ParseAddr(v4)
	a.V6, _ = netip.ParseAddr(v6)
	return a
}

func backendsOn(node string, ready ...string) *model.EndpointSlice {
	e := &model.EndpointSlice{Service: "web", Ports: []model.ServicePort{{Protocol: model.TCP, Port: 8080}}, Ready: addrList(ready...), Nodes: map[netip.Addr]string{}}
	for _, a := range e.Ready {
		e.Nodes[a] = node
	}
	return e
}

func frontendService(change func(*model.Service)) *model.Service {
	s := &model.Service{
		Meta: model.Meta{Namespace: "shop", Name: "web"}, ClusterIPs: addressPair("10.96.0.80", "fd00:10:96::80"),
		Ports: []model.ServicePort{{Protocol: model.TCP, Port: 80, NodePort: 30080}},
	}
	if change != nil {
		change(s)
	}
	return s
}

// lines writes entries as lines, but of the sixty slots of a choice only how often each backend is in them.
func lines(served ServiceRules) (lines []string) {
	slotsOf := map[string]int{}
	for _, f := range slices.SortedFunc(maps.Keys(served.Forwards), func(a, b Frontend) int { return a.Compare(b.AddrPort) }) {
		for _, e := range served.Forwards[f].Entries {
			switch name := strings.TrimRight(e.In, "46"); name {
			case backendMap, everywhereMap, elsewhereMap:
				slotsOf[e.In+" "+f.key()+" : "+e.Value]++
			default:
				lines = append(lines, strings.TrimSuffix(e.In+" "+e.Key+" : "+e.Value, " : "))
			}
		}
	}
	for line, n := range slotsOf {
		lines = append(lines, line+" ×"+string(rune('0'+n/10))+string(rune('0'+n%10)))
	}
	slices.Sort(lines)
	return lines
}

func TestServe(t *testing.T) {
	v4only := inputsWithServices()
	v4only.Node.Services = prefixList("169.254.64.2/18")
	three := v4only
	three.Nodes = map[string][]netip.Addr{"n1": addrList("192.168.77.11"), "n2": addrList("2001:db8::12", "192.168.77.12"), "n3": addrList("192.168.77.13")}
	local := func(s *model.Service) { s.External.Local = true }
	for name, c := range map[string]struct {
		world     Inputs
		service   *model.Service
		endpoints []*model.EndpointSlice
		want      []string
	}{
		"a NodePort of both families": {inputsWithServices(), frontendService(nil), []*model.EndpointSlice{backendsOn("n2", "10.16.0.5")}, []string{
			"cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
		}},
		"another proxy's family": {v4only, frontendService(func(s *model.Service) { s.External.IPs = addrList("203.0.113.1", "2001:db8::1") }), nil, []string{
			"cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80", "cluster4 203.0.113.1 . 6 . 80 : 10.96.0.80 . 80",
		}},
		"where the controller has found it in the default Vpc": {v4only, frontendService(func(s *model.Service) { s.Vpc = model.DefaultVpc }), nil, []string{
			"cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
		}},
		"of another Vpc": {v4only, frontendService(func(s *model.Service) { s.Vpc, s.External.Local = "tenant", true }), []*model.EndpointSlice{backendsOn("n1", "10.16.0.5")}, nil},
		"no node ports":  {v4only, frontendService(func(s *model.Service) { s.Ports[0].NodePort = 0 }), nil, nil},
		"local, none here": {v4only, frontendService(local), []*model.EndpointSlice{backendsOn("n2", "10.16.0.5")}, []string{
			"chosen4 192.168.77.11 . 6 . 30080", "cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
		}},
		"local, none here: the host asks the node that has one": {three, frontendService(local), []*model.EndpointSlice{backendsOn("n2", "10.16.0.5")}, []string{
			"chosen4 192.168.77.11 . 6 . 30080", "cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
			"elsewhere4 192.168.77.11 . 6 . 30080 : 192.168.77.12 . 30080 ×60",
		}},
		"local, none at all: OVN refuses": {v4only, frontendService(local), nil, []string{"cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80"}},
		"local, two here": {v4only, frontendService(local), []*model.EndpointSlice{backendsOn("n1", "10.16.0.6", "10.16.0.5"), backendsOn("n2", "10.16.0.7")}, []string{
			"backends4 192.168.77.11 . 6 . 30080 : 10.16.0.5 . 8080 ×30", "backends4 192.168.77.11 . 6 . 30080 : 10.16.0.6 . 8080 ×30",
			"chosen4 192.168.77.11 . 6 . 30080", "cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
		}},
		"local, one drains here, one is ready elsewhere": {v4only, frontendService(local), []*model.EndpointSlice{
			{
				Ports: []model.ServicePort{{Protocol: model.TCP, Port: 8080}}, Draining: addrList("10.16.0.6"), Ready: addrList("10.16.0.7"),
				Nodes: map[netip.Addr]string{netip.MustParseAddr("10.16.0.6"): "n1", netip.MustParseAddr("10.16.0.7"): "n2"},
			},
		}, []string{
			"backends4 192.168.77.11 . 6 . 30080 : 10.16.0.6 . 8080 ×60",
			"chosen4 192.168.77.11 . 6 . 30080", "cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
		}},
		"affinity": {v4only, frontendService(func(s *model.Service) { s.Affinity, s.AffinityTimeout = true, 3*time.Hour }), []*model.EndpointSlice{backendsOn("n2", "10.16.0.5")}, []string{
			"backends4 192.168.77.11 . 6 . 30080 : 10.16.0.5 . 8080 ×60",
			"chosen4 192.168.77.11 . 6 . 30080", "cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
			"members4 " + number30080 + " . 10.16.0.5 . 8080", "sticky4 192.168.77.11 . 6 . 30080 : " + number30080, "timeouts " + number30080 + " : jump remember-10800s", "wide4 192.168.77.11 . 6 . 30080",
		}},
		"local inside and outside": {v4only, frontendService(func(s *model.Service) { s.InternalLocal, s.External.Local = true, true }), []*model.EndpointSlice{backendsOn("n1", "10.16.0.5"), backendsOn("n2", "10.16.0.7")}, []string{
			"backends4 192.168.77.11 . 6 . 30080 : 10.16.0.5 . 8080 ×60",
			"chosen4 192.168.77.11 . 6 . 30080", "cluster4 192.168.77.11 . 6 . 30080 : 10.96.0.80 . 80",
			"everywhere4 192.168.77.11 . 6 . 30080 : 10.16.0.5 . 8080 ×30", "everywhere4 192.168.77.11 . 6 . 30080 : 10.16.0.7 . 8080 ×30",
		}},
		"who may ask a load balancer": {v4only, frontendService(func(s *model.Service) {
			s.Ports[0].NodePort = 0
			s.External.Ingress, s.External.Sources = addrList("203.0.113.1"), prefixList("198.51.100.0/24", "198.51.100.7/32", "192.0.2.1/32", "2001:db8::/32")
		}), nil, []string{
			"admitted4 203.0.113.1 . 6 . 80 . 192.0.2.1", "admitted4 203.0.113.1 . 6 . 80 . 198.51.100.0/24",
			"cluster4 203.0.113.1 . 6 . 80 : 10.96.0.80 . 80", "guarded4 203.0.113.1 . 6 . 80",
		}},
	} {
		if d := cmp.Diff(c.want, lines(ServiceContextOf(c.world).RulesFor(c.service, c.endpoints))); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}

// thieves claims addresses and ports of the infrastructure, one free address, and a free NodePort.
func thieves() *model.Service {
	return frontendService(func(s *model.Service) {
		s.Ports = []model.ServicePort{
			{Protocol: model.TCP, Port: 6443, NodePort: 30080}, {Protocol: model.TCP, Port: 10250, NodePort: 10250}, {Protocol: model.UDP, Port: 6081, NodePort: 6081},
		}
		s.External.IPs = addrList("192.168.77.1", "192.168.77.11", "192.168.77.12", "2001:db8::12", "10.96.0.1", "10.16.0.77", "100.64.0.2", "169.254.64.2", "fd69:254:64::", "127.0.0.1", "::1", "203.0.113.9")
		s.External.Ingress = addrList("192.168.77.1", "198.51.100.11")
		s.External.HealthPort = 10250
	})
}

// No element takes traffic to an API server, to a node except to its NodePorts, to ClusterIPs or to pods.
func TestServicesCannotTakeTheInfrastructure(t *testing.T) {
	in := inputsWithServices()
	in.NodeNames = map[netip.Addr]string{}
	for name, addresses := range map[string][]netip.Addr{"n1": addrList("192.168.77.11", "198.51.100.11"), "n2": addrList("192.168.77.12", "2001:db8::12")} {
		for _, a := range addresses {
			in.NodeNames[a] = name
		}
	}
	in.Infrastructure = model.InfrastructureConfig{NodeSubnet: "join", APIServers: addrList("192.168.77.1"), HostSource: model.Prefixes{
		V4: netip.MustParsePrefix("169.254.64.0/18"), V6: netip.MustParsePrefix("fd69:254:64::/112"),
	}}.With([]*model.ServiceCIDR{{CIDRs: prefixList("10.96.0.0/16")}}, model.Prefixes{V4: netip.MustParsePrefix("100.64.0.0/16")}, nil)
	o := ServiceContextOf(in)
	rules := o.RulesFor(thieves(), nil)
	var got []string
	for f := range rules.Forwards {
		if f.Addr() != netip.MustParseAddr("203.0.113.9") {
			got = append(got, f.String()+"/"+string(f.Protocol))
		}
	}
	slices.Sort(got)
	if want := []string{"192.168.77.11:30080/tcp"}; !slices.Equal(got, want) || len(rules.Forwards) != 3 {
		t.Errorf("the node forwards %v, want %v and the ports of the free address", got, want)
	}
	if rules.HealthPort != 0 {
		t.Errorf("the node listens on the kubelet's port %d", rules.HealthPort)
	}
	udp := o.UDPBackends(frontendService(func(s *model.Service) {
		s.Ports[0].Protocol, s.External.IPs = model.UDP, addrList("192.168.77.1", "203.0.113.9")
	}), []*model.EndpointSlice{{Ports: []model.ServicePort{{Protocol: model.UDP, Port: 53}}, Ready: addrList("10.16.0.5")}})
	if _, taken := udp[netip.MustParseAddrPort("192.168.77.1:80")]; taken || len(udp) != 2 {
		t.Errorf("UDP flows of %v are forgotten", udp)
	}
	// The attack works on a node that knows no holders: the test bites.
	if n := len(ServiceContextOf(inputsWithServices()).RulesFor(thieves(), nil).Forwards); n < 10 {
		t.Errorf("without holders there are %d frontends only", n)
	}
	later := ServiceContextOf(in)
	if later.Reserved.APIServers = addrList("192.168.77.2"); o.Equal(later) {
		t.Error("another API server is no change")
	}
}

// number30080 is what stands for port 30080 of the node in marks of connections.
var number30080 = Frontend{netip.MustParseAddrPort("192.168.77.11:30080"), model.TCP}.number()

// A load balancer counts the addresses of one family that are ready here.
func TestLocalReady(t *testing.T) {
	e := backendsOn("n1", "10.16.0.5", "10.16.0.6", "fd00:10:16::5")
	e.Draining = addrList("10.16.0.7")
	e.Nodes[e.Draining[0]] = "n1"
	if got := ServiceContextOf(inputsWithServices()).RulesFor(frontendService(nil), []*model.EndpointSlice{e, backendsOn("n1", "10.16.0.5"), backendsOn("n2", "10.16.0.9")}).LocalReady; got != 2 {
		t.Errorf("%d, want 2", got)
	}
}

// The oldest Service has a frontend; when it goes, the next one gets all of it.
func TestFrontendTable(t *testing.T) {
	o := ServiceContextOf(inputsWithServices())
	at := func(cluster string, local bool) map[Frontend]Forward {
		return o.RulesFor(frontendService(func(s *model.Service) { s.ClusterIPs, s.External.Local = addressPair(cluster, ""), local }), []*model.EndpointSlice{backendsOn("n1", "10.16.0.5")}).Forwards
	}
	f := Frontend{netip.MustParseAddrPort("192.168.77.11:30080"), model.TCP}
	var l FrontendTable
	has := func(step, cluster string, chosen bool) {
		t.Helper()
		forward, ok := l.Forward(f)
		if !ok && cluster == "" {
			return
		}
		if !ok || !slices.Contains(forward.Entries, Entry{"cluster4", f.key(), cluster + " . 80"}) || slices.Contains(forward.Entries, Entry{In: "chosen4", Key: f.key()}) != chosen {
			t.Errorf("%s: %v", step, forward.Entries)
		}
	}
	l.Set(model.Ref{Namespace: "shop", Name: "young"}, 20, at("10.96.0.2", true))
	has("one", "10.96.0.2", true)
	if c := l.Set(model.Ref{Namespace: "shop", Name: "old"}, 10, at("10.96.0.1", false)); len(c.Moved) != 1 {
		t.Errorf("moved %v", c.Moved)
	}
	has("an older one", "10.96.0.1", false)
	if c := l.Set(model.Ref{Namespace: "shop", Name: "young"}, 20, at("10.96.0.3", true)); len(c.Add)+len(c.Remove)+len(c.Moved) > 0 {
		t.Errorf("one that waits changes %v", c)
	}
	l.Set(model.Ref{Namespace: "shop", Name: "old"}, 10, nil)
	has("the older one goes", "10.96.0.3", true)
	l.Set(model.Ref{Namespace: "shop", Name: "young"}, 20, nil)
	has("none", "", false)
	if len(l.Entries())+len(l.Frontends())+len(l.Services()) > 0 {
		t.Error("something is left")
	}
}

// Whatever happens, what the changes add up to is what is there.
func TestFrontendTableAddsUp(t *testing.T) {
	o := ServiceContextOf(inputsWithServices())
	rapid.Check(t, func(t *rapid.T) {
		var l FrontendTable
		table := map[Entry]bool{}
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "service")
			var forwards map[Frontend]Forward
			if rapid.Bool().Draw(t, "there") {
				s := frontendService(func(s *model.Service) {
					s.Ports[0].NodePort = uint16(rapid.IntRange(30000, 30001).Draw(t, "port")) //nolint:gosec // a port
					s.External.Local = rapid.Bool().Draw(t, "local")
					s.Affinity = rapid.Bool().Draw(t, "affinity")
					s.AffinityTimeout = time.Duration(rapid.IntRange(1, 2).Draw(t, "timeout")) * time.Hour
				})
				forwards = o.RulesFor(s, []*model.EndpointSlice{backendsOn(rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"), "10.16.0.5")}).Forwards
			}
			c := l.Set(model.Ref{Name: name}, int64(name[0]%2), forwards)
			for _, e := range c.Remove {
				if !table[e] {
					t.Fatalf("removes %v, which is not there", e)
				}
				delete(table, e)
			}
			for _, e := range c.Add {
				if table[e] {
					t.Fatalf("adds %v again", e)
				}
				table[e] = true
			}
			want := map[Entry]bool{}
			for _, e := range l.Entries() {
				want[e] = true
			}
			if !maps.Equal(want, table) {
				t.Fatal(cmp.Diff(want, table))
			}
		}
	})
}

func TestStale(t *testing.T) {
	o := ServiceContextOf(inputsWithServices())
	var l FrontendTable
	l.Set(model.Ref{Namespace: "shop", Name: "web"}, 0, o.RulesFor(frontendService(func(s *model.Service) {
		s.Ports[0].Protocol, s.External.Local = model.UDP, true
	}), []*model.EndpointSlice{{Ports: []model.ServicePort{{Protocol: model.UDP, Port: 53}}, Ready: addrList("10.16.0.5"), Nodes: map[netip.Addr]string{netip.MustParseAddr("10.16.0.5"): "n1"}}}).Forwards)
	f := Frontend{netip.MustParseAddrPort("192.168.77.11:30080"), model.UDP}
	gone := Frontend{netip.MustParseAddrPort("192.168.77.11:30081"), model.UDP}
	for _, c := range []struct {
		f       Frontend
		answers string
		inside  bool
		want    bool
	}{
		{f, "10.16.0.5:53", false, false},
		{f, "10.96.0.80:80", false, true},
		{f, "10.96.0.80:80", true, false},
		{f, "10.16.0.5:53", true, true},
		{f, "10.16.0.6:53", false, true},
		{f, "10.16.0.5:54", false, true},
		{f, "192.168.77.11:30080", false, true},
		{gone, "192.168.77.11:30081", false, false},
		{gone, "10.16.0.5:53", false, true},
	} {
		if got := l.Stale(c.f, netip.MustParseAddrPort(c.answers), c.inside); got != c.want {
			t.Errorf("%v answered by %s: stale %t", c.f, c.answers, got)
		}
	}
}

func TestStaleClients(t *testing.T) {
	var l FrontendTable
	l.Set(model.Ref{Namespace: "shop", Name: "web"}, 0, ServiceContextOf(inputsWithServices()).RulesFor(frontendService(func(s *model.Service) {
		s.Affinity, s.AffinityTimeout = true, time.Hour
	}), []*model.EndpointSlice{backendsOn("n1", "10.16.0.5")}).Forwards)
	var backends, ports []Entry
	for client, c := range map[string][2]string{
		"192.0.2.1": {"10.16.0.5", "8080"}, "192.0.2.2": {"10.16.0.6", "8080"}, "192.0.2.3": {"10.16.0.5", "8081"},
	} {
		backends = append(backends, Entry{"clients4", number30080 + " . " + client, c[0]})
		ports = append(ports, Entry{"clientports4", number30080 + " . " + client, c[1]})
	}
	backends = append(backends, Entry{"clients4", "7 . 192.0.2.1", "10.16.0.5"})
	want := map[string]bool{number30080 + " . 192.0.2.2": true, number30080 + " . 192.0.2.3": true, "7 . 192.0.2.1": true}
	if d := cmp.Diff(want, l.StaleClients(backends, ports)); d != "" {
		t.Error(d)
	}
}

// The rules are the same however many Services there are.
func TestServiceTable(t *testing.T) {
	w := inputsWithServices()
	w.Subnets = append(w.Subnets, Subnet{Name: "central", Vpc: "ovn-cluster", CIDRs: prefixList("10.30.0.0/16"), Centralized: true, ActiveGateways: []string{"n2"}})
	table := ServiceTable(w, []time.Duration{3 * time.Hour, time.Minute, 3 * time.Hour})
	empty, err := json.MarshalIndent(table, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "services.json")
	if *update {
		if err := os.WriteFile(file, append(empty, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(empty)+"\n"); d != "" {
		t.Errorf("-want +got (run with -update to accept)\n%s", d)
	}
	rules := len(table.Chains)
	var l FrontendTable
	for i := range 100 {
		s := frontendService(func(s *model.Service) { s.Ports[0].NodePort = uint16(30000 + i) }) //nolint:gosec // a port
		l.Set(model.Ref{Name: s.Name + string(rune('0'+i))}, 0, ServiceContextOf(w).RulesFor(s, nil).Forwards)
	}
	table.Fill(l.Entries())
	if len(table.Chains) != rules {
		t.Error("Services add chains")
	}
	for _, m := range table.Maps {
		if m.Name == "cluster4" && (len(m.Elements) != 100 || !slices.IsSortedFunc(m.Elements, func(a, b Element) int { return strings.Compare(a.Key, b.Key) })) {
			t.Errorf("%d elements", len(m.Elements))
		}
	}
}
