// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/ovsdb/sb"
	"github.com/wovensdn/woven/pkg/world"
)

// healthy is a small cluster without differences: one node, two pods.
func healthy(t *testing.T) *State {
	t.Helper()
	s := &State{NB: Rows{}, SB: Rows{}, Hosts: map[string]Host{}}
	s.Objects.Others = []kube.Object{
		&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "ovn-cluster", Finalizers: []string{annotations.Finalizer}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
	}
	s.Objects.Subnets = []v1.Subnet{subnet("ovn-default", "10.16.0.0/16", 2), subnet("join", "100.64.0.0/16", 1)}
	s.Objects.Nodes = []corev1.Node{{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-1"},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.77.11"}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}}
	record := model.IP{
		Meta: model.Meta{Name: "node-n1"}, Subnet: "join", PodName: "n1", NodeName: "n1", MAC: "00:00:00:00:64:02",
		Addrs: model.Addrs{V4: netip.MustParseAddr("100.64.0.2")},
	}
	s.Objects.IPs = append(s.Objects.IPs, *model.IPObject(record))
	s.Objects.Nodes[0].Annotations = map[string]string{
		annotations.Allocated: "true", annotations.IPAddress: "100.64.0.2", annotations.MACAddress: record.MAC,
		annotations.CIDR: "100.64.0.0/16", annotations.Gateway: "100.64.0.1", annotations.LogicalSwitch: "join", annotations.PortName: "node-n1",
		annotations.ServiceSource: "169.254.64.2/18",
	}
	addService(s)
	s.SB.Add(sb.ChassisTable, &sb.Chassis{UUID: "chassis-1", Name: "id-of-n1", Hostname: "n1"})
	writeCompiled(t, s)
	s.Hosts["n1"] = Host{
		Interfaces: []Interface{{Name: "ovn0", Type: "internal", Bridge: "br-int", ExternalIDs: map[string]string{"iface-id": "node-n1", "vendor": "woven"}}},
		Mirrors:    []Mirror{{Name: "m0", Output: "mirror0"}},
		Links: []Link{
			{Name: "ovn0", MAC: record.MAC, Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("100.64.0.2/16")}},
			{Name: "eth0", Up: true},
		},
		Routes: []Route{routeTo("10.16.0.0/16"), routeTo("10.96.0.0/16"), routeTo("169.254.64.0/18")},
		Sets: map[string][]string{
			"pods4": {"10.16.0.0/16", "100.64.0.0/16"}, "nat4": {"10.16.0.0/16"}, "nodes4": {"192.168.77.11"}, "pods6": {},
		},
	}
	addPod(s, "web-0", "10.16.0.5", "00:00:00:00:16:05")
	addPod(s, "web-1", "10.16.0.6", "00:00:00:00:16:06")
	return s
}

func routeTo(dst string) Route {
	return Route{Dst: netip.MustParsePrefix(dst), Gateway: netip.MustParseAddr("100.64.0.1"), Link: "ovn0", Protocol: 87}
}

// addService is a Service with an endpoint.
func addService(s *State) {
	port := int32(6443)
	s.Objects.Others = append(s.Objects.Others, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{
		ClusterIPs: []string{"10.96.0.1"}, Ports: []corev1.ServicePort{{Port: 443}},
	}})
	s.Objects.Others = append(s.Objects.Others, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
		Ports:      []discoveryv1.EndpointPort{{Port: &port}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.168.77.10"}}},
	})
	s.Objects.ServiceCIDRs = []networkingv1.ServiceCIDR{{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}}}
}

func subnet(name, cidr string, using int64) v1.Subnet {
	s := v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{annotations.Finalizer}}}
	s.Spec.CIDRBlock, s.Spec.Vpc, s.Spec.NatOutgoing = cidr, "ovn-cluster", name != "join"
	s.Status.V4UsingIPs, s.Status.V4AvailableIPs = v1.BigIntOf(using), v1.BigIntOf(65533-using)
	return s
}

func comparisonOf(t *testing.T, s *State) *comparison {
	t.Helper()
	c, err := newComparison(NewController(DefaultNames), *s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compared(t *testing.T, s *State) []Difference {
	t.Helper()
	found, err := Compare(DefaultNames, *s)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// writeCompiled fills the northbound database with the results of the compile functions for all objects except pods.
func writeCompiled(t *testing.T, s *State) {
	t.Helper()
	c := comparisonOf(t, s)
	w := c.world
	var all fact.Set
	for kind, compileOne := range compile.Functions(DefaultNames) {
		for _, ref := range c.world.Refs(kind) {
			var result compile.Result
			w.Read(ref, func(v *world.View) { result = compileOne(ref, v) })
			for _, row := range result.Rows {
				addRow(t, s.NB, ref, row)
			}
			all.Rows, all.Members = append(all.Rows, result.Rows...), append(all.Members, result.Members...)
		}
	}
	for _, row := range all.Rows {
		if row.Parent.UUID != "" {
			appendTo(s.NB, row.Parent, fact.TableOf(row.Table).ParentColumn(row.Parent.Table), row.UUID)
		}
	}
	for _, m := range all.Members {
		appendTo(s.NB, m.Ref, m.Column, m.Value)
	}
	bind(s, portOf(s, "node-n1"))
	for _, row := range rowsOf[nb.LogicalRouterPort](s.NB, nb.LogicalRouterPortTable) {
		s.SB.Add(sb.PortBindingTable, &sb.PortBinding{UUID: "binding-" + row.Name, LogicalPort: row.Name, Type: "patch", ExternalIDs: row.ExternalIDs})
	}
}

// addRow adds a row like the controller: with its UUID and marks.
func addRow(t *testing.T, rows Rows, owner model.Ref, row fact.Row) {
	t.Helper()
	columns, ok := row.Columns.(interface{ GetUUID() string })
	if !ok {
		t.Fatalf("%T is not a row", row.Columns)
	}
	v := reflect.ValueOf(columns).Elem()
	v.FieldByName("UUID").SetString(row.UUID)
	ids := maps.Clone(fact.TableOf(row.Table).ExternalIDs(columns))
	if ids == nil {
		ids = map[string]string{}
	}
	ids[fact.VendorKey], ids[fact.OwnerKey] = fact.Vendor, owner.String()
	if field := v.FieldByName("ExternalIDs"); field.IsValid() {
		field.Set(reflect.ValueOf(ids))
	}
	rows.Add(row.Table, columns)
}

func appendTo(rows Rows, of fact.Ref, column, value string) {
	list := fact.TableOf(of.Table).Column(column).Value(rows[of.Table][of.UUID])
	list.Set(reflect.Append(list, reflect.ValueOf(value)))
}

func portOf(s *State, name string) *nb.LogicalSwitchPort {
	for _, row := range rowsOf[nb.LogicalSwitchPort](s.NB, nb.LogicalSwitchPortTable) {
		if row.Name == name {
			return row
		}
	}
	return nil
}

func switchOf(s *State, name string) *nb.LogicalSwitch {
	row, _ := s.NB[nb.LogicalSwitchTable][fact.UUIDOf(nb.LogicalSwitchTable, name)].(*nb.LogicalSwitch)
	return row
}

// bind binds a port to chassis-1 and sets it up.
func bind(s *State, port *nb.LogicalSwitchPort) {
	up, chassis := true, "chassis-1"
	port.Up = &up
	s.SB.Add(sb.PortBindingTable, &sb.PortBinding{
		UUID: "binding-" + port.Name, LogicalPort: port.Name, Chassis: &chassis, Up: &up, ExternalIDs: maps.Clone(port.ExternalIDs),
	})
}

// addPod adds a running pod with its objects, rows and interfaces.
func addPod(s *State, name, ip, mac string) {
	port := name + ".default"
	s.Objects.Pods = append(s.Objects.Pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{
			annotations.Allocated: "true", annotations.IPAddress: ip, annotations.MACAddress: mac, annotations.LogicalSwitch: "ovn-default",
		}},
		Spec:   corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}},
	})
	s.Objects.IPs = append(s.Objects.IPs, *model.IPObject(model.IP{
		Meta: model.Meta{Name: port}, Subnet: "ovn-default", PodName: name, Namespace: "default", NodeName: "n1", MAC: mac,
		Addrs: model.Addrs{V4: netip.MustParseAddr(ip)},
	}))
	row := &nb.LogicalSwitchPort{
		UUID: fact.UUIDOf(nb.LogicalSwitchPortTable, port), Name: port, Addresses: []string{mac + " " + ip},
		Options:     map[string]string{"iface-id-ver": "uid-" + name},
		ExternalIDs: map[string]string{fact.VendorKey: fact.Vendor, fact.OwnerKey: "Pod/default/" + name},
	}
	s.NB.Add(nb.LogicalSwitchPortTable, row)
	appendTo(s.NB, fact.RefTo(nb.LogicalSwitchTable, "ovn-default"), "ports", row.UUID)
	bind(s, row)
	h := s.Hosts["n1"]
	link := "c0" + name + "_h"
	h.Interfaces = append(h.Interfaces, Interface{Name: link, Bridge: "br-int", ExternalIDs: map[string]string{
		"vendor": "woven", "container_id": "c0" + name, "iface-id": port, "iface-id-ver": "uid-" + name, "ovn-installed": "true",
	}})
	h.Links = append(h.Links, Link{Name: link, Up: true, Alias: "woven c0" + name + " eth0 default/" + name})
	h.Mirrors[0].SelectSrc, h.Mirrors[0].ToDst = append(h.Mirrors[0].SelectSrc, link), append(h.Mirrors[0].ToDst, link)
	s.Hosts["n1"] = h
}

func deleteRow(s *State, table, uuid string) { delete(s.NB[table], uuid) }

// change changes the host in place.
func change(s *State, fn func(*Host)) {
	h := s.Hosts["n1"]
	fn(&h)
	s.Hosts["n1"] = h
}

func TestAHealthyClusterHasNoDifference(t *testing.T) {
	if found := compared(t, healthy(t)); len(found) > 0 {
		t.Fatalf("differences in a healthy cluster:\n%v", found)
	}
}

func TestCompare(t *testing.T) {
	const link = "c0web-0_h"
	tests := map[string]struct {
		harm func(*State)
		want []string
	}{
		"another address in NB": {
			func(s *State) { portOf(s, "web-0.default").Addresses = []string{"00:00:00:00:16:05 10.16.0.7"} },
			[]string{"nb: pod default/web-0: annotations mac_address and ip_address 00:00:00:00:16:05 10.16.0.5, NB port web-0.default has 00:00:00:00:16:05 10.16.0.7"},
		},
		"another address in the IP object": {
			func(s *State) { s.Objects.IPs[1].Spec.IPAddress = "10.16.0.7" },
			[]string{"api: pod default/web-0: annotation ip_address 10.16.0.5, IP object web-0.default has 10.16.0.7"},
		},
		"another address in the status": {
			func(s *State) { s.Objects.Pods[0].Status.PodIPs[0].IP = "10.16.0.9" },
			[]string{"api: pod default/web-0: annotation ip_address 10.16.0.5, status.podIPs 10.16.0.9"},
		},
		"an address given twice": {
			func(s *State) {
				s.Objects.Pods[1].Annotations[annotations.IPAddress] = "10.16.0.5"
				s.Objects.IPs[2].Spec.IPAddress = "10.16.0.5"
				s.Objects.Pods[1].Status.PodIPs = nil
				portOf(s, "web-1.default").Addresses = []string{"00:00:00:00:16:06 10.16.0.5"}
			},
			[]string{"address: 10.16.0.5 of Subnet ovn-default belongs to pod default/web-0 and to pod default/web-1"},
		},
		"a MAC given twice": {
			func(s *State) {
				s.Objects.Pods[1].Annotations[annotations.MACAddress] = "00:00:00:00:16:05"
				s.Objects.IPs[2].Spec.MacAddress = "00:00:00:00:16:05"
				portOf(s, "web-1.default").Addresses = []string{"00:00:00:00:16:05 10.16.0.6"}
			},
			[]string{"address: 00:00:00:00:16:05 of Subnet ovn-default belongs to pod default/web-0 and to pod default/web-1"},
		},
		"no address yet": {
			func(s *State) { delete(s.Objects.Pods[0].Annotations, annotations.Allocated) },
			[]string{`api: pod default/web-0 has no address: annotation ovn.kubernetes.io/allocated is not "true"`},
		},
		"no IP object": {
			func(s *State) { s.Objects.IPs = slices.Delete(s.Objects.IPs, 1, 2) },
			[]string{
				"api: pod default/web-0: address 10.16.0.5 is in no IP object: web-0.default is missing",
				"counter: Subnet ovn-default: status.v4availableIPs is 65531, CIDR, excludeIps, vips and IP objects leave 65532",
				"counter: Subnet ovn-default: status.v4usingIPs is 2, IP objects use 1",
			},
		},
		"a deleted pod left everything behind": {
			func(s *State) { s.Objects.Pods = s.Objects.Pods[1:] },
			[]string{
				"api: IP object web-0.default (10.16.0.5) has no pod default/web-0 that uses it",
				"kernel: node n1: link " + link + " has no pod default/web-0 on this node",
				"nb: NB port web-0.default has no pod: default/web-0 is gone, has completed or has no network of its own",
				"ovs: node n1: OVS interface " + link + " (iface-id web-0.default) has no pod on this node",
			},
		},
		"a pod that is being deleted may still have everything": {
			func(s *State) {
				s.Objects.Pods[0].DeletionTimestamp = &metav1.Time{}
				change(s, func(h *Host) {
					h.Links = slices.DeleteFunc(h.Links, func(l Link) bool { return l.Name == link })
				})
			},
			nil,
		},
		"a reserved address needs no pod": {
			func(s *State) {
				s.Objects.IPs = append(s.Objects.IPs, *model.IPObject(model.IP{
					Meta: model.Meta{Name: "reserved"}, Subnet: "ovn-default", Reserved: true, Addrs: model.Addrs{V4: netip.MustParseAddr("10.16.0.50")},
				}))
				s.Objects.Subnets[0].Status.V4UsingIPs, s.Objects.Subnets[0].Status.V4AvailableIPs = v1.BigIntOf(3), v1.BigIntOf(65530)
			},
			nil,
		},
		"a VM keeps its address while it is stopped": {
			func(s *State) {
				s.Objects.Others = append(s.Objects.Others, &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "kubevirt.io/v1", Kind: "VirtualMachine"}, ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}})
				for i, name := range []string{"db", "gone"} {
					s.Objects.IPs = append(s.Objects.IPs, *model.IPObject(model.IP{
						Meta: model.Meta{Name: name + ".default"}, PodName: name, Namespace: "default", Subnet: "ovn-default",
						PodType: model.PodTypeVirtualMachine, Addrs: model.Addrs{V4: netip.AddrFrom4([4]byte{10, 16, 0, byte(50 + i)})},
					}))
				}
				s.Objects.Subnets[0].Status.V4UsingIPs, s.Objects.Subnets[0].Status.V4AvailableIPs = v1.BigIntOf(4), v1.BigIntOf(65529)
			},
			[]string{"api: IP object gone.default (10.16.0.51) has no pod default/gone that uses it"},
		},
		"a StatefulSet keeps the address of a pod that it makes again": {
			func(s *State) {
				s.Objects.Others = append(s.Objects.Others, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "set"}})
				for i, owner := range []string{"set", "another"} { // the second is also out of range
					s.Objects.IPs = append(s.Objects.IPs, *model.IPObject(model.IP{
						Meta: model.Meta{Name: fmt.Sprintf("db-%d.default", i)}, PodName: fmt.Sprintf("db-%d", i), Namespace: "default", Subnet: "ovn-default",
						PodType: model.PodTypeStatefulSet, OwnerUID: owner, Addrs: model.Addrs{V4: netip.AddrFrom4([4]byte{10, 16, 0, byte(50 + i)})},
					}))
				}
				s.Objects.Subnets[0].Status.V4UsingIPs, s.Objects.Subnets[0].Status.V4AvailableIPs = v1.BigIntOf(4), v1.BigIntOf(65529)
			},
			[]string{"api: IP object db-1.default (10.16.0.51) has no pod default/db-1 that uses it"},
		},
		"an IPPool without its address set": {
			func(s *State) {
				s.Objects.Others = append(s.Objects.Others, &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "front"}, Spec: v1.IPPoolSpec{Subnet: "ovn-default", IPs: []string{"10.16.3.1"}, EnableAddressSet: true}})
			},
			[]string{"nb: IPPool front: NB Address Set front is missing"},
		},
		"no port": {
			func(s *State) {
				deleteRow(s, nb.LogicalSwitchPortTable, portOf(s, "web-0.default").UUID)
			},
			[]string{
				"nb: pod default/web-0: NB port web-0.default is missing",
				"sb: SB port binding web-0.default has no NB port",
			},
		},
		"a port in no switch": {
			func(s *State) { sw := switchOf(s, "ovn-default"); sw.Ports = sw.Ports[:len(sw.Ports)-1] },
			[]string{"nb: pod default/web-1: annotation logical_switch ovn-default, NB port web-1.default is in switch none"},
		},
		"the port of a recreated pod": {
			func(s *State) { portOf(s, "web-0.default").Options["iface-id-ver"] = "uid-old" },
			[]string{"nb: pod default/web-0: UID uid-web-0, NB port web-0.default has iface-id-ver uid-old"},
		},
		"rows whose owner is gone": {
			func(s *State) {
				s.NB.Add(nb.LogicalSwitchTable, &nb.LogicalSwitch{UUID: "x", Name: "old", ExternalIDs: map[string]string{fact.VendorKey: fact.Vendor, fact.OwnerKey: "Subnet//old"}})
			},
			[]string{"nb: NB Logical Switch old is owned by Subnet old, which does not exist"},
		},
		"rows of others are not looked at": {
			func(s *State) {
				s.NB.Add(nb.LogicalSwitchTable, &nb.LogicalSwitch{UUID: "x", Name: "by-hand"})
				s.NB.Add(nb.LogicalSwitchPortTable, &nb.LogicalSwitchPort{UUID: "y", Name: "by-hand", Addresses: []string{"00:00:00:00:16:05 10.16.0.5"}})
				appendTo(s.NB, fact.RefTo(nb.LogicalSwitchTable, "ovn-default"), "ports", "y")
				change(s, func(h *Host) { h.Links = append(h.Links, Link{Name: "veth1"}) })
			},
			nil,
		},
		"a row without an owner": {
			func(s *State) { delete(portOf(s, "web-0.default").ExternalIDs, fact.OwnerKey) },
			[]string{`nb: NB port web-0.default is marked as Woven's, but woven/owner: owner "" is not of the form Kind/namespace/name`},
		},
		"no switch": {
			func(s *State) { deleteRow(s, nb.LogicalSwitchTable, fact.UUIDOf(nb.LogicalSwitchTable, "join")) },
			[]string{"nb: Subnet join: NB Logical Switch join is missing"},
		},
		"a router policy deleted and one changed": {
			func(s *State) {
				for _, p := range rowsOf[nb.LogicalRouterPolicy](s.NB, nb.LogicalRouterPolicyTable) {
					switch p.Priority {
					case 30000:
						deleteRow(s, nb.LogicalRouterPolicyTable, p.UUID)
					case 29000:
						p.Nexthops = []string{"100.64.0.9"}
					}
				}
			},
			[]string{
				`nb: Node n1: NB Logical Router Policy 29000 "ip4.src == $vpc.ovn_cluster.distributed.ip4 && is_chassis_resident(\"node-n1\")": column nexthops is [100.64.0.9], not [100.64.0.2]`,
				`nb: Node n1: NB Logical Router Policy 30000 "ip4.dst == 169.254.64.2" is missing`,
				`nb: Node n1: NB Logical Router Policy 30000 "ip4.dst == 192.168.77.11" is missing`,
			},
		},
		"an address set lacks a subnet": {
			func(s *State) {
				for _, set := range rowsOf[nb.AddressSet](s.NB, nb.AddressSetTable) {
					set.Addresses = nil
				}
			},
			[]string{
				"nb: Node n1: NB Address Set vpc.ovn_cluster.nodes.ip4: column addresses lacks 192.168.77.11",
				"nb: Subnet join: NB Address Set vpc.ovn_cluster.distributed.ip4: column addresses lacks 169.254.64.0/18",
				"nb: Subnet ovn-default: NB Address Set vpc.ovn_cluster.distributed.ip4: column addresses lacks 10.16.0.0/16",
			},
		},
		"the endpoints of a Service, a Service deleted": {
			func(s *State) {
				for _, lb := range rowsOf[nb.LoadBalancer](s.NB, nb.LoadBalancerTable) {
					lb.Vips = nil
					s.NB.Add(nb.LoadBalancerTable, &nb.LoadBalancer{UUID: "old", Name: "service/default/old/tcp", ExternalIDs: map[string]string{
						fact.VendorKey: fact.Vendor, fact.OwnerKey: "Service/default/old",
					}})
				}
			},
			[]string{
				"nb: NB Load Balancer service/default/old/tcp is owned by Service default/old, which does not exist",
				"nb: Service default/kubernetes: NB Load Balancer service/default/kubernetes/tcp: column vips is map[], not map[10.96.0.1:443:192.168.77.10:6443]",
			},
		},
		"on another chassis, down": {
			func(s *State) {
				s.SB.Add(sb.ChassisTable, &sb.Chassis{UUID: "chassis-2", Name: "id-of-n2", Hostname: "n2"})
				other, down := "chassis-2", false
				b, _ := s.SB[sb.PortBindingTable]["binding-web-0.default"].(*sb.PortBinding)
				b.Chassis, b.Up = &other, &down
			},
			[]string{
				"sb: pod default/web-0: SB port binding web-0.default is not up",
				"sb: pod default/web-0: the node is n1, SB port binding web-0.default is on chassis id-of-n2 of n2",
			},
		},
		"no port binding": {
			func(s *State) { delete(s.SB[sb.PortBindingTable], "binding-web-0.default") },
			[]string{"sb: pod default/web-0: NB port web-0.default has no port binding in SB"},
		},
		"a pod without an interface": {
			func(s *State) {
				change(s, func(h *Host) {
					h.Interfaces = slices.DeleteFunc(h.Interfaces, func(i Interface) bool { return i.Name == link })
				})
			},
			[]string{
				"ovs: pod default/web-0: link " + link + " of node n1 has no OVS interface",
				"ovs: pod default/web-0: node n1 has no OVS interface with iface-id web-0.default",
			},
		},
		"an interface of an earlier pod, not installed": {
			func(s *State) {
				change(s, func(h *Host) {
					h.Interfaces[1].ExternalIDs["iface-id-ver"] = "uid-old"
					delete(h.Interfaces[1].ExternalIDs, "ovn-installed")
				})
			},
			[]string{
				"ovs: pod default/web-0: OVS interface " + link + " of node n1 is not ovn-installed",
				"ovs: pod default/web-0: UID uid-web-0, OVS interface " + link + " of node n1 has iface-id-ver uid-old",
			},
		},
		"an interface whose link is gone": {
			func(s *State) {
				change(s, func(h *Host) {
					h.Links = slices.DeleteFunc(h.Links, func(l Link) bool { return l.Name == link })
				})
			},
			[]string{"kernel: pod default/web-0: node n1 has no link " + link + ", which is its OVS interface"},
		},
		"a mirror that leaves a pod out": {
			func(s *State) { change(s, func(h *Host) { h.Mirrors[0].ToDst = h.Mirrors[0].ToDst[1:] }) },
			[]string{"ovs: pod default/web-0: mirror m0 of node n1 does not select its OVS interface " + link},
		},
		"a node without anything": {
			func(s *State) { s.Hosts["n1"] = Host{} },
			[]string{
				"kernel: node n1 has no link ovn0",
				"kernel: node n1 has no nftables table inet woven",
				"kernel: node n1: no route to 10.16.0.0/16 of Subnet ovn-default via 100.64.0.1 on ovn0",
				"kernel: node n1: no route to 10.96.0.0/16 (ServiceCIDR kubernetes) via 100.64.0.1 on ovn0",
				"kernel: node n1: no route to 169.254.64.0/18 (the hosts' source addresses for Services) via 100.64.0.1 on ovn0",
				"ovs: node n1 has no OVS interface ovn0",
				"ovs: pod default/web-0: node n1 has no OVS interface with iface-id web-0.default",
				"ovs: pod default/web-1: node n1 has no OVS interface with iface-id web-1.default",
			},
		},
		"another join address, a stale route, a set that lacks a node": {
			func(s *State) {
				change(s, func(h *Host) {
					h.Links[0].Addresses = []netip.Prefix{netip.MustParsePrefix("100.64.0.3/16")}
					h.Routes = append(h.Routes, Route{Dst: netip.MustParsePrefix("10.99.0.0/24"), Gateway: netip.MustParseAddr("100.64.0.1"), Link: "ovn0", Protocol: 87})
					h.Sets["nodes4"] = nil
				})
			},
			[]string{
				"kernel: node n1: link ovn0 has address 100.64.0.3/16, which is in no annotation",
				"kernel: node n1: link ovn0 lacks the join address 100.64.0.2/16",
				"kernel: node n1: route to 10.99.0.0/24 via 100.64.0.1 on ovn0 belongs to no Subnet and to no Services",
				"kernel: node n1: set nodes4 of nftables table inet woven lacks InternalIP 192.168.77.11 of node n1",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := healthy(t)
			test.harm(s)
			var found []string
			for _, d := range compared(t, s) {
				found = append(found, d.String())
			}
			if diff := cmp.Diff(test.want, found); diff != "" {
				t.Errorf("differences (-want +found):\n%s", diff)
			}
		})
	}
}
