package check

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

func marked(ids map[string]string) bool { return ids[fact.VendorKey] == fact.Vendor }

// podPorts compares the ports of pods with their annotations.
func (c *comparison) podPorts() {
	for _, n := range c.wanted() {
		port, ok := c.ports[n.port]
		if !ok {
			c.differ(checkNB, "%s: NB port %s is missing", n, n.port)
			continue
		}
		if !marked(port.ExternalIDs) {
			c.differ(checkNB, "%s: NB port %s is there, but it is not marked as ours", n, n.port)
			continue
		}
		if want := portAddresses(n.mac, n.addrs); !slices.Equal(port.Addresses, []string{want}) {
			c.differ(checkNB, "%s: annotations mac_address and ip_address %s, NB port %s has %s", n, want, n.port, addressesOf(port))
		}
		if have := c.switchOf[port.UUID]; have != n.subnet {
			c.differ(checkNB, "%s: annotation logical_switch %s, NB port %s is in switch %s", n, n.subnet, n.port, orNone(have))
		}
		if have := port.Options["iface-id-ver"]; have != string(n.pod.UID) {
			c.differ(checkNB, "%s: UID %s, NB port %s has iface-id-ver %s", n, n.pod.UID, n.port, orNone(have))
		}
	}
}

// owners finds rows of ours whose owner does not exist.
func (c *comparison) owners() {
	for _, table := range fact.Tables() {
		rows := c.NB[table.Name]
		for _, uuid := range sortedKeys(rows) {
			row := rows[uuid]
			ids := table.ExternalIDs(row)
			if !marked(ids) {
				continue
			}
			owner, err := model.ParseRef(ids[fact.OwnerKey])
			if err != nil {
				c.differ(checkNB, "%s is marked as ours, but %s: %v", rowName(table, uuid, row), fact.OwnerKey, err)
				continue
			}
			if missing := c.absent(owner); missing != "" {
				c.differ(checkNB, "%s %s", rowName(table, uuid, row), missing)
			}
		}
	}
}

// absent says why an owner cannot have a row; empty if it can.
func (c *comparison) absent(owner model.Ref) string {
	there := false
	switch owner.Kind {
	case model.KindVpc:
		there = c.vpc[owner.Name] != nil
	case model.KindSubnet:
		there = c.subnet[owner.Name] != nil
	case model.KindNode:
		there = c.node[owner.Name] != nil
	case model.KindIPPool:
		there = c.pool[owner.Name] != nil
	case model.KindNamespace:
		there = c.namespace[owner.Name]
	case model.KindIP:
		there = c.record[owner.Name] != nil
	case model.KindService:
		there = c.service[owner]
	case model.KindPod:
		if there = c.networked[owner]; !there {
			return fmt.Sprintf("has no pod: %s/%s is gone, has completed or has no network of its own", owner.Namespace, owner.Name)
		}
	case model.KindNetworkPolicy, model.KindAdminNetworkPolicy, model.KindBaselineAdminNetworkPolicy, model.KindClusterNetworkPolicy:
		_, there = c.policies[owner]
	default:
		return fmt.Sprintf("is owned by %s, a kind that this program does not know", owner)
	}
	if !there {
		return fmt.Sprintf("is owned by %s, which does not exist", titled(owner))
	}
	return ""
}

// titled is how messages name an object.
func titled(owner model.Ref) string { return string(owner.Kind) + " " + world.ObjectKey(owner) }

// rowName is how messages name a row: "NB port x" for ports, else table and name or UUID.
func rowName(table *fact.Table, uuid string, row any) string {
	name := table.RowName(row)
	if name == "" {
		name = uuid
		switch row := row.(type) {
		case *nb.LogicalRouterPolicy:
			name = fmt.Sprintf("%d %q", row.Priority, row.Match)
		case *nb.LogicalRouterStaticRoute:
			name = fmt.Sprintf("%s via %s", row.IPPrefix, row.Nexthop)
		case *nb.ACL:
			name = fmt.Sprintf("%d %s %q", row.Priority, row.Direction, row.Match)
		}
	}
	if table.Name == nb.LogicalSwitchPortTable {
		return "NB port " + name
	}
	return "NB " + strings.ReplaceAll(table.Name, "_", " ") + " " + name
}

// compiled compares the rows of every object but pods with what the controller's own compile functions say: routers, switches,
// their ports, policies, routes and address sets. Objects that do not compile are frozen and not compared.
func (c *comparison) compiled(w *world.World) {
	for kind, compileOne := range compile.Functions(c.names) {
		if kind == model.KindPod {
			continue // compared with annotations instead, which are what the node acts on
		}
		for _, ref := range c.refs(kind) {
			var result compile.Result
			if invalid := w.Read(ref, func(v *world.View) { result = compileOne(ref, v) }); len(invalid) > 0 || model.Fatal(result.Problems) {
				continue
			}
			for i := range result.Rows {
				c.row(ref, &result.Rows[i])
			}
			for _, member := range result.Members {
				c.member(ref, member)
			}
		}
	}
}

// world holds the projections of all objects that compile functions read.
func (c *comparison) world() *world.World {
	w := world.New()
	for i := range c.Objects.Vpcs {
		o, problems := model.VpcFrom(&c.Objects.Vpcs[i])
		put(w.Vpcs, o.Name, &o, problems)
	}
	for i := range c.Objects.Subnets {
		o, problems := model.SubnetFrom(&c.Objects.Subnets[i])
		put(w.Subnets, o.Name, &o, problems)
	}
	for i := range c.Objects.Nodes {
		o, problems := model.NodeFrom(&c.Objects.Nodes[i])
		put(w.Nodes, o.Name, &o, problems)
	}
	for i := range c.Objects.Namespaces {
		o, problems := model.NamespaceFrom(&c.Objects.Namespaces[i])
		put(w.Namespaces, o.Name, &o, problems)
	}
	for i := range c.Objects.IPPools {
		o, problems := model.IPPoolFrom(&c.Objects.IPPools[i])
		put(w.IPPools, o.Name, &o, problems)
	}
	for i := range c.Objects.IPs {
		o, problems := model.IPFrom(&c.Objects.IPs[i])
		put(w.IPs, o.Name, &o, problems)
	}
	for i := range c.Objects.Services {
		o, problems := model.ServiceFrom(&c.Objects.Services[i])
		put(w.Services, world.PodKey(o.Namespace, o.Name), &o, problems)
	}
	for i := range c.Objects.EndpointSlices {
		o, problems := model.EndpointSliceFrom(&c.Objects.EndpointSlices[i])
		put(w.EndpointSlices, world.PodKey(o.Namespace, o.Name), &o, problems)
	}
	for i := range c.Objects.Pods {
		o, problems := model.PodFrom(&c.Objects.Pods[i])
		put(w.Pods, world.PodKey(o.Namespace, o.Name), &o, problems)
	}
	for i := range c.Objects.VirtualMachines {
		o, problems := model.VirtualMachineFrom(&c.Objects.VirtualMachines[i])
		put(w.VirtualMachines, world.PodKey(o.Namespace, o.Name), &o, problems)
	}
	for ref, p := range c.policies {
		put(w.Policies[ref.Kind], world.ObjectKey(ref), &p.Policy, p.problems)
	}
	return w
}

func put[T any](table *world.Table[T], key string, object *T, problems []model.Problem) {
	if model.Fatal(problems) {
		table.Invalidate(key)
		return
	}
	table.Set(key, object)
}

// refs lists the objects of a kind that are compiled.
func (c *comparison) refs(kind model.Kind) []model.Ref {
	var names []string
	switch kind {
	case model.KindVpc:
		names = sortedKeys(c.vpc)
	case model.KindSubnet:
		names = sortedKeys(c.subnet)
	case model.KindNode:
		names = sortedKeys(c.node)
	case model.KindIPPool:
		names = sortedKeys(c.pool)
	case model.KindNamespace:
		names = sortedKeys(c.namespace)
	case model.KindIP:
		names = sortedKeys(c.record)
	case model.KindService:
		return slices.SortedFunc(maps.Keys(c.service), model.Ref.Compare)
	case model.KindNetworkPolicy, model.KindAdminNetworkPolicy, model.KindBaselineAdminNetworkPolicy, model.KindClusterNetworkPolicy:
		return c.policyRefs(kind)
	}
	var refs []model.Ref
	for _, name := range names {
		refs = append(refs, model.Ref{Kind: kind, Name: name})
	}
	return refs
}

func (c *comparison) row(owner model.Ref, want *fact.Row) {
	table := fact.TableOf(want.Table)
	if table == nil {
		return
	}
	have, ok := c.NB[want.Table][want.UUID]
	if !ok {
		note := "is missing"
		if c.foreign(table, want) {
			note = "is missing: a row that is not ours has its name"
		}
		c.differ(checkNB, "%s: %s %s", titled(owner), rowName(table, want.UUID, want.Columns), note)
		return
	}
	for _, name := range table.Owned {
		column := table.Column(name)
		wanted, found := column.Value(want.Columns), column.Value(have)
		if name == "external_ids" {
			c.externalIDs(owner, table, want, have)
			continue
		}
		if !sameValue(wanted, found) {
			c.differ(checkNB, "%s: %s: column %s is %v, not %v", titled(owner), rowName(table, want.UUID, want.Columns), name, shown(found), shown(wanted))
		}
	}
	c.parent(owner, table, want)
}

func (c *comparison) externalIDs(owner model.Ref, table *fact.Table, want *fact.Row, have any) {
	ids := table.ExternalIDs(have)
	wanted := table.ExternalIDs(want.Columns)
	for _, key := range sortedKeys(wanted) {
		if ids[key] != wanted[key] {
			c.differ(checkNB, "%s: %s: external_ids:%s is %s, not %s", titled(owner), rowName(table, want.UUID, want.Columns), key, orNone(ids[key]), wanted[key])
		}
	}
	if table.NamePrefix == "" && !marked(ids) {
		c.differ(checkNB, "%s: %s is not marked as ours", titled(owner), rowName(table, want.UUID, want.Columns))
	}
}

// parent finds a row that another row than its parent refers to.
func (c *comparison) parent(owner model.Ref, table *fact.Table, want *fact.Row) {
	if want.Parent == (fact.Ref{}) {
		return
	}
	parents := fact.TableOf(want.Parent.Table)
	row, ok := c.NB[want.Parent.Table][want.Parent.UUID]
	if parents == nil || !ok {
		return // the parent's own row is reported
	}
	column := table.ParentColumn(want.Parent.Table)
	children, _ := parents.Column(column).Value(row).Interface().([]string)
	if !slices.Contains(children, want.UUID) {
		c.differ(checkNB, "%s: %s is not in column %s of %s", titled(owner),
			rowName(table, want.UUID, want.Columns), column, rowName(parents, want.Parent.UUID, row))
	}
}

// foreign tells whether a row that is not ours has the wanted row's name.
func (c *comparison) foreign(table *fact.Table, want *fact.Row) bool {
	name := table.RowName(want.Columns)
	for _, row := range c.NB[table.Name] {
		if name != "" && table.RowName(row) == name {
			return true
		}
	}
	return false
}

// member finds an element that a shared set lacks.
func (c *comparison) member(owner model.Ref, want fact.Member) {
	table := fact.TableOf(want.Table)
	row, ok := c.NB[want.Table][want.UUID]
	if table == nil || !ok || want.Key != "" {
		return // a row that is missing is reported with its own owner
	}
	elements, _ := table.Column(want.Column).Value(row).Interface().([]string)
	if !slices.Contains(elements, want.Value) {
		c.differ(checkNB, "%s: %s: column %s lacks %s", titled(owner), rowName(table, want.UUID, row), want.Column, want.Value)
	}
}

// sameValue compares two values of one column; sets have no order (RFC 7047 §3.1).
func sameValue(a, b reflect.Value) bool {
	x, isSet := a.Interface().([]string)
	if y, ok := b.Interface().([]string); isSet && ok {
		return slices.Equal(slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y)))
	}
	if a.Kind() == reflect.Map && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func shown(v reflect.Value) any {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem().Interface()
	}
	return v.Interface()
}
