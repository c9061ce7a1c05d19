// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovnmatch"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

func routerPort(b *harness, name string) *nb.LogicalRouterPort {
	p, _ := b.db.Peek(nb.LogicalRouterPortTable, fact.UUIDOf(nb.LogicalRouterPortTable, name)).(*nb.LogicalRouterPort)
	return p
}

// specACLs lists the ACLs of a subnet with the priority of the rules of these tests.
func specACLs(b *harness, subnet string) (out string) {
	for _, uuid := range uuidsOf(b.db, nb.ACLTable) {
		acl, _ := b.db.Peek(nb.ACLTable, uuid).(*nb.ACL)
		if acl != nil && acl.ExternalIDs["subnet"] == subnet && acl.Priority == 1300 {
			out += fmt.Sprintf("%s %d %s %s\n", acl.Direction, acl.Priority, acl.Action, acl.Match)
		}
	}
	return out
}

// setSubnet applies a Subnet with the problems of its projection, as the controller does.
func (b *harness) setSubnet(name string, spec v1.SubnetSpec) []model.Problem {
	b.t.Helper()
	s, problems := model.SubnetFrom(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "subnet"}, Spec: spec})
	if model.Fatal(problems) {
		b.t.Fatal(problems)
	}
	b.set(ref(model.KindSubnet, "", name), &s)
	b.converge()
	return problems
}

// A rule that OVN would refuse or ignore is left out and named; everything else of the Subnet goes on.
func TestRuleAtFaultIsLeftOut(t *testing.T) {
	good := v1.ACL{Direction: "to-lport", Action: "drop", Priority: 1300, Match: "tcp"}
	for name, c := range map[string]struct {
		change func(*v1.ACL)
		want   string
	}{
		"no direction":      {func(a *v1.ACL) { a.Direction = "" }, `spec.acls[1].direction: "" is not one of from-lport, to-lport`},
		"another direction": {func(a *v1.ACL) { a.Direction = "in" }, `spec.acls[1].direction: "in"`},
		"no action":         {func(a *v1.ACL) { a.Action = "" }, `spec.acls[1].action: "" is not one of allow, `},
		"another action":    {func(a *v1.ACL) { a.Action = "deny" }, `spec.acls[1].action: "deny"`},
		"a low priority":    {func(a *v1.ACL) { a.Priority = -1 }, "spec.acls[1].priority: -1 is not from 0 to 32767"},
		"a high priority":   {func(a *v1.ACL) { a.Priority = 32768 }, "spec.acls[1].priority: 32768"},
		"no match":          {func(a *v1.ACL) { a.Match = "" }, "spec.acls[1].match: column 1: the expression ends"},
		"an unknown field":  {func(a *v1.ACL) { a.Match = "ip4 && ip4.sorce == 10.0.0.1" }, "spec.acls[1].match: column 8: unknown field ip4.sorce"},
		"a null character":  {func(a *v1.ACL) { a.Match = "tcp\x00" }, "spec.acls[1].match: column 4"},
		"outport too early": {func(a *v1.ACL) { a.Direction, a.Match = "from-lport", `tcp && outport == "a"` }, "spec.acls[1].match: column 8: outport"},
	} {
		for family, cidr := range map[string][2]string{"IPv4": {"10.79.0.0/24", "10.79.0.9"}, "IPv6": {"fd00:79::/64", "fd00:79::9"}} {
			t.Run(name+", "+family, func(t *testing.T) {
				b := harnessIn(t, "nodes")
				bad := good
				c.change(&bad)
				spec := v1.SubnetSpec{CIDRBlock: cidr[0], NatOutgoing: true, Acls: []v1.ACL{good}}
				b.setSubnet("l5", spec)
				spec.Acls = []v1.ACL{good, bad}
				problems := b.setSubnet("l5", spec)
				if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), c.want) {
					t.Fatalf("problems are %v, want %s", problems, c.want)
				}
				spec.Gateway = cidr[1]
				b.setSubnet("l5", spec)
				if p := routerPort(b, "ovn-cluster-l5"); p == nil || !strings.HasPrefix(p.Networks[0], cidr[1]+"/") {
					t.Errorf("the router port is %+v", p)
				}
				if got := specACLs(b, "l5"); got != "to-lport 1300 drop tcp\n" {
					t.Errorf("ACLs are %q", got)
				}
				b.restart()
				b.converge()
				b.compare("restarted")
			})
		}
	}
}

// Rule 8: a row that violates the schema is not sent and stays as it is. The other rows of its owner follow the object.
func TestRowThatViolatesTheSchema(t *testing.T) {
	b, full := realHarness(t)
	b.become(named(t, "bound namespace"))
	b.transact(ovsdb.Operation{Op: "insert", Table: nb.LogicalSwitchTable, Row: ovsdb.Row{"name": "by-hand"}})
	b.converge()
	blue := ref(model.KindSubnet, "", "blue")
	before, _ := b.objects[blue].(*model.Subnet)
	rules := func(first model.ACL) func(*model.Subnet) {
		return func(s *model.Subnet) {
			s.ACLs = []model.ACL{first, {Direction: "to-lport", Action: "drop", Priority: 1300, Match: "tcp"}}
		}
	}
	for _, c := range []struct {
		change func(*model.Subnet)
		want   string
	}{
		{rules(model.ACL{Action: "drop", Match: "udp"}), "ACL column direction"},
		{rules(model.ACL{Direction: "to-lport", Action: "drop", Match: "udp\x00"}), "null character"},
	} {
		b.set(blue, changed(before, c.change))
		b.converge()
		if !hasProblem(b, blue, "refuses ACL") || !hasProblem(b, blue, c.want) {
			t.Errorf("problems are %v, want %s", b.reports[blue].Problems, c.want)
		}
		if b.reports[blue].Programmed {
			t.Error("the Subnet is programmed")
		}
		if acls := specACLs(b, "blue"); acls != "to-lport 1300 drop tcp\n" {
			t.Errorf("ACLs are %q", acls)
		}
	}
	b.restart()
	b.converge()
	if !hasProblem(b, blue, "null character") {
		t.Errorf("problems after a restart are %v", b.reports[blue].Problems)
	}
	b.set(blue, before)
	b.converge()
	if r := b.reports[blue]; len(r.Problems) > 0 || !r.Programmed {
		t.Errorf("the Subnet is repaired, and its report is %+v", r)
	}
	b.compareReal("repaired", full)
}

// An update that violates the schema leaves the row as it is.
func TestUpdateThatViolatesTheSchema(t *testing.T) {
	b := harnessIn(t, "nodes")
	six := ref(model.KindSubnet, "", "six")
	s := changed(subnet("six", "fd00:6::/64"), func(s *model.Subnet) { s.RouterAdvertisement = map[string]string{} })
	b.set(six, s)
	b.converge()
	before := routerPort(b, "ovn-cluster-six")
	bad := changed(s, func(s *model.Subnet) { s.RouterAdvertisement = map[string]string{"mtu": "\x00"} })
	b.set(six, bad)
	b.converge()
	for range 2 {
		if p := routerPort(b, "ovn-cluster-six"); !reflect.DeepEqual(p, before) || !hasProblem(b, six, "null character") {
			t.Fatalf("the router port is %+v, problems are %v", p, b.reports[six].Problems)
		}
		b.restart()
		b.converge()
	}
	b.set(six, changed(s, func(s *model.Subnet) { s.RouterAdvertisement = map[string]string{"mtu": "1400"} }))
	b.converge()
	if p := routerPort(b, "ovn-cluster-six"); p.Ipv6RaConfigs["mtu"] != "1400" || len(b.reports[six].Problems) > 0 {
		t.Errorf("the router port is %+v, problems are %v", p, b.reports[six].Problems)
	}
}

// A text that no database takes stops one row of a Node; its port and the pods on it go on.
func TestNodeWithANullCharacter(t *testing.T) {
	b := harnessIn(t, "pods")
	n := ref(model.KindNode, "", "n1")
	before, _ := b.objects[n].(*model.Node)
	b.set(n, changed(before, func(n *model.Node) { n.Chassis = "n1\x00" }))
	b.set(ref(model.KindPod, "default", "new"), pod("default", "new", "n1"))
	b.converge()
	if !hasProblem(b, n, "refuses Chassis_Template_Var") || port(b, "node-n1") == nil || port(b, "new.default") == nil {
		t.Errorf("problems are %v, ports %v and %v", b.reports[n].Problems, port(b, "node-n1"), port(b, "new.default"))
	}
	b.set(n, before)
	b.converge()
	if len(b.reports[n].Problems) > 0 {
		t.Errorf("the Node is repaired, and its problems are %v", b.reports[n].Problems)
	}
	b.compare("repaired")
}

// The matches of all rows are in the language that users' matches are checked with.
func TestOwnMatches(t *testing.T) {
	b := newModelHarness(t)
	seen := map[string]bool{}
	for _, s := range states() {
		b.become(s)
		b.converge()
		for _, table := range []string{nb.ACLTable, nb.LogicalRouterPolicyTable, nb.QoSTable} {
			match := fact.TableOf(table).Column("match")
			for _, uuid := range uuidsOf(b.db, table) {
				seen[match.Value(b.db.Peek(table, uuid)).String()] = true
			}
		}
	}
	for match := range seen {
		if err := ovnmatch.Check(match); err != nil {
			t.Errorf("%s: %v", match, err)
		}
	}
	t.Logf("%d matches", len(seen))
}

// validRows are rows that the schema accepts, of the tables whose zero row it does not.
var validRows = map[string]any{
	nb.ACLTable:                 &nb.ACL{Action: "drop", Direction: "to-lport"},
	nb.QoSTable:                 &nb.QoS{Direction: "to-lport"},
	nb.MeterBandTable:           &nb.MeterBand{Action: "drop", Rate: 1},
	nb.LogicalRouterPolicyTable: &nb.LogicalRouterPolicy{Action: "allow"},
}

// TestSchemaCheckIsThatOfTheServer compares the check with a real ovsdb-server: each owned column with values at the
// limits of its type.
func TestSchemaCheckIsThatOfTheServer(t *testing.T) {
	db := nbtest.Start(t).Client(t)
	for _, table := range fact.Tables() {
		if table.Name == nb.NBGlobalTable || table.Name == nb.MeterTable { // one row; needs a band
			continue
		}
		for _, column := range table.Owned {
			if table.Column(column).UUID {
				continue
			}
			for i, value := range valuesFor(table.Column(column), rowOf(table)) {
				row := rowOf(table)
				table.Column(column).Value(row).Set(value)
				content := ovsdb.Row{}
				for _, name := range table.Owned {
					if v := table.Column(name).Value(row); !table.Column(name).UUID && (name == column || !v.IsZero()) {
						content[name] = wire(v)
					}
				}
				if column != table.NameColumn && table.NameColumn != "" {
					content[table.NameColumn] = fmt.Sprint(column, i) // names are unique
				}
				err := nbtest.Commit(t.Context(), db, ovsdb.Operation{Op: ovsdb.OperationInsert, Table: table.Name, Row: content})
				violation := table.Check(row)
				if (err != nil) != (violation != nil) {
					t.Errorf("%s.%s = %v: the server says %v, the check %v", table.Name, column, content[column], err, violation)
				}
			}
		}
	}
}

// rowType is the struct of the rows of a table.
func rowType(table string) reflect.Type {
	m, err := nb.FullDatabaseModel()
	if err != nil {
		panic(err)
	}
	return m.Types()[table].Elem()
}

func rowOf(table *fact.Table) any {
	row := reflect.New(rowType(table.Name))
	if valid, ok := validRows[table.Name]; ok {
		row.Elem().Set(reflect.ValueOf(valid).Elem())
	}
	return row.Interface()
}

// valuesFor returns values of the type of a column.
func valuesFor(c fact.Column, row any) []reflect.Value {
	typ := c.Value(row).Type()
	var out []reflect.Value
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		out = append(out, reflect.Zero(typ))
		for _, one := range atoms(typ.Elem()) {
			v := reflect.New(typ).Elem()
			if typ.Kind() == reflect.Slice {
				v = reflect.Append(v, one)
			} else {
				v = reflect.New(typ.Elem())
				v.Elem().Set(one)
			}
			out = append(out, v)
		}
	case reflect.Map:
		for _, key := range atoms(typ.Key()) {
			for _, value := range atoms(typ.Elem()) {
				v := reflect.MakeMap(typ)
				v.SetMapIndex(key, value)
				out = append(out, v)
			}
		}
	default:
		out = atoms(typ)
	}
	return out
}

func atoms(typ reflect.Type) []reflect.Value {
	var out []reflect.Value
	switch typ.Kind() {
	case reflect.Int:
		for _, n := range []int{math.MinInt32, -1, 0, 1, 3, 4, 32767, 32768, 4294967295, 4294967296} {
			out = append(out, reflect.ValueOf(n).Convert(typ))
		}
	case reflect.String:
		for _, s := range []string{
			"", "x", "ä", "drop", "allow", "jump", "pass", "to-lport", "both", "tcp", "dccp", "ip_src", "dscp", "src-ip", "info", "error", "kbps",
			strings.Repeat("n", 63), strings.Repeat("n", 64), strings.Repeat("ä", 63), strings.Repeat("ä", 64),
		} {
			out = append(out, reflect.ValueOf(s).Convert(typ))
		}
	case reflect.Bool:
		out = append(out, reflect.ValueOf(true))
	}
	return out
}

// wire is the notation of RFC 7047 §5.1.
func wire(v reflect.Value) any {
	set := ovsdb.OvsSet{GoSet: []any{}}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			set.GoSet = append(set.GoSet, v.Elem().Interface())
		}
		return set
	case reflect.Slice:
		for i := range v.Len() {
			set.GoSet = append(set.GoSet, v.Index(i).Interface())
		}
		return set
	case reflect.Map:
		m := ovsdb.OvsMap{GoMap: map[any]any{}}
		for i := v.MapRange(); i.Next(); {
			m.GoMap[i.Key().Interface()] = i.Value().Interface()
		}
		return m
	default:
		return v.Interface()
	}
}
