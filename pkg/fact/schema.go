// SPDX-License-Identifier: Apache-2.0

package fact

import (
	"reflect"
	"slices"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// Keys in external_ids of every row that we create.
const (
	// VendorKey has the value [Vendor]; it marks a row as ours.
	VendorKey = "vendor"
	Vendor    = "woven"
	// OwnerKey names the object that the row was compiled from, see [model.Ref.String].
	OwnerKey = "woven/owner"
	// ParentKey is the UUID of the row that refers to this one.
	ParentKey = "woven/parent"
	// SwitchKey names the logical switch of a port, as Kube-OVN writes it.
	SwitchKey = "ls"
)

// LoadBalancerGroupPrefix begins the names of our rows in table Load_Balancer_Group; the name of a Vpc follows.
const LoadBalancerGroupPrefix = "woven."

// TemplatePrefix begins the names of our variables in table Chassis_Template_Var.
const TemplatePrefix = "woven_"

// MemberColumn is a set or map column whose elements several owners declare.
type MemberColumn struct {
	// Refers is the table that the elements point to; empty for plain values.
	Refers string
	// Prefix limits our ownership in a map column to keys that begin with it.
	Prefix string
	// AllKeys means that we own all keys of a map column in our rows.
	AllKeys bool
	// Strong means strong references: the database refuses to delete a row that an element refers to.
	Strong bool
}

// Parent is a column whose elements are the children of its row.
type Parent struct{ Table, Column string }

// Table describes how we use one table of the northbound database. It is everything that plan needs to know of a table.
type Table struct {
	Name string
	// NameColumn identifies a row to users; a row with the same name
	// that is not ours is a conflict. Empty for tables without names.
	NameColumn string
	// NamePrefix and NameKind mark rows of tables without external_ids: we own a row whose name begins with the prefix.
	// Its owner is the object of kind NameKind that the remainder of the name names.
	NamePrefix string
	NameKind   model.Kind
	// Parents are the columns that refer to rows of a non-root table. Each row has one parent.
	Parents []Parent
	// Owned are the columns that we own as a whole in our rows.
	Owned []string
	// Keys are the keys of external_ids that we own besides the markers. Other keys are not changed.
	Keys []string
	// Refers maps owned columns with references to the table that they refer to. These references are weak: the
	// database drops one to a missing row.
	Refers map[string]string
	// Members are the shared columns.
	Members map[string]MemberColumn
	// Late rows are written after elements that are added to existing sets, because they match on these sets.
	Late bool
	// Whole tables are changed in one transaction, so that rules that belong together appear together.
	Whole bool
	// Unmonitored columns are not in the cache, because they grow with the number of pods. The [ParentKey] of the
	// children replaces them.
	Unmonitored []string

	columns map[string]Column
}

// Column gives access to one column of a row struct.
type Column struct {
	Name  string
	index int
	// UUID means that the values are references to rows.
	UUID bool
	// constraint limits the values.
	constraint constraint
}

// Value returns the column's value. row is a pointer to a row struct.
func (c Column) Value(row any) reflect.Value {
	return reflect.ValueOf(row).Elem().Field(c.index)
}

// Child reports whether rows of the table exist only while another row refers to them.
func (t *Table) Child() bool { return len(t.Parents) > 0 }

// ParentColumn is the column in which rows of table parent refer to rows of this table.
func (t *Table) ParentColumn(parent string) string {
	for _, p := range t.Parents {
		if p.Table == parent {
			return p.Column
		}
	}
	return ""
}

// Column returns a column by its name in the database schema.
func (t *Table) Column(name string) Column { return t.columns[name] }

// ExternalIDs returns the external_ids of a row, nil if the table has none.
func (t *Table) ExternalIDs(row any) map[string]string {
	c, ok := t.columns["external_ids"]
	if !ok {
		return nil
	}
	ids, _ := c.Value(row).Interface().(map[string]string)
	return ids
}

// RowName returns the row's name, empty if the table has none.
func (t *Table) RowName(row any) string {
	if t.NameColumn == "" {
		return ""
	}
	return t.columns[t.NameColumn].Value(row).String()
}

// OwnerOf returns the owner in a row's markers. ok is false for rows that are not ours.
func (t *Table) OwnerOf(row any) (Owner, bool) {
	if t.NamePrefix != "" {
		name, ours := strings.CutPrefix(t.RowName(row), t.NamePrefix)
		return Owner{Kind: t.NameKind, Name: name}, ours
	}
	ids := t.ExternalIDs(row)
	if ids[VendorKey] != Vendor {
		return Owner{}, false
	}
	owner, err := model.ParseRef(ids[OwnerKey])
	return owner, err == nil
}

// OwnsKey reports whether we own a key of external_ids.
func (t *Table) OwnsKey(key string) bool {
	return key == VendorKey || strings.HasPrefix(key, "woven/") || slices.Contains(t.Keys, key)
}

// tables are in insertion order: parents before children.
var tables = []*Table{
	{Name: nb.NBGlobalTable, Members: map[string]MemberColumn{"options": {}}},
	{
		Name: nb.LogicalRouterTable, NameColumn: "name",
		Owned: []string{"name", "options", "external_ids"},
	},
	{
		Name: nb.LoadBalancerTable, NameColumn: "name",
		Owned: []string{"name", "protocol", "vips", "options", "selection_fields", "external_ids"},
		Keys:  []string{"service"},
	},
	{
		Name: nb.LoadBalancerGroupTable, NameColumn: "name", NamePrefix: LoadBalancerGroupPrefix, NameKind: model.KindVpc,
		Owned:   []string{"name"},
		Members: map[string]MemberColumn{"load_balancer": {Refers: nb.LoadBalancerTable}},
	},
	{
		Name:    nb.DNSTable,
		Owned:   []string{"external_ids"},
		Keys:    []string{"part"},
		Members: map[string]MemberColumn{"records": {AllKeys: true}},
	},
	{
		Name: nb.LogicalSwitchTable, NameColumn: "name",
		Owned: []string{"name", "other_config", "external_ids"},
		Members: map[string]MemberColumn{
			"load_balancer_group": {Refers: nb.LoadBalancerGroupTable, Strong: true},
			"dns_records":         {Refers: nb.DNSTable},
		},
		Unmonitored: []string{"ports"},
	},
	{
		Name: nb.AddressSetTable, NameColumn: "name",
		Owned:   []string{"name", "external_ids"},
		Members: map[string]MemberColumn{"addresses": {}},
	},
	{
		Name: nb.PortGroupTable, NameColumn: "name",
		Owned:   []string{"name", "external_ids"},
		Keys:    []string{"group"},
		Members: map[string]MemberColumn{"ports": {Refers: nb.LogicalSwitchPortTable}},
	},
	{
		Name: nb.ChassisTemplateVarTable, NameColumn: "chassis",
		Owned:   []string{"chassis", "external_ids"},
		Keys:    []string{"node"},
		Members: map[string]MemberColumn{"variables": {Prefix: TemplatePrefix}},
	},
	{ // not a root table: inserted with the meter that requires it
		Name:  nb.MeterBandTable,
		Owned: []string{"action", "rate", "external_ids"},
	},
	{
		Name: nb.MeterTable, NameColumn: "name",
		Owned: []string{"name", "unit", "fair", "bands", "external_ids"},
	},
	{ // before the ports that refer to them
		Name:  nb.DHCPOptionsTable,
		Owned: []string{"cidr", "options", "external_ids"},
		Keys:  []string{SwitchKey, "port"},
	},
	{
		Name: nb.LogicalRouterPortTable, NameColumn: "name",
		Parents: []Parent{{nb.LogicalRouterTable, "ports"}},
		Owned:   []string{"name", "mac", "networks", "options", "ipv6_ra_configs", "external_ids"},
		Keys:    []string{"lr", "subnet"},
	},
	{ // before the ports, so that no port is on a switch before its rules
		Name: nb.ACLTable, Late: true, Whole: true,
		Parents: []Parent{{nb.LogicalSwitchTable, "acls"}, {nb.PortGroupTable, "acls"}},
		Owned:   []string{"action", "direction", "match", "priority", "tier", "options", "log", "meter", "name", "severity", "label", "external_ids"},
		Keys:    []string{"subnet", "policy", "rule"},
	},
	{
		Name: nb.QoSTable, Late: true,
		Parents: []Parent{{nb.LogicalSwitchTable, "qos_rules"}},
		Owned:   []string{"action", "direction", "match", "priority", "external_ids"},
		Keys:    []string{"subnet"},
	},
	{
		Name: nb.LogicalSwitchPortTable, NameColumn: "name", Late: true,
		Parents: []Parent{{nb.LogicalSwitchTable, "ports"}},
		Owned:   []string{"name", "type", "addresses", "port_security", "options", "dhcpv4_options", "dhcpv6_options", "external_ids"},
		Refers:  map[string]string{"dhcpv4_options": nb.DHCPOptionsTable, "dhcpv6_options": nb.DHCPOptionsTable},
		Keys:    []string{SwitchKey, "pod", "node"},
	},
	{
		Name: nb.LogicalRouterStaticRouteTable, Late: true,
		Parents: []Parent{{nb.LogicalRouterTable, "static_routes"}},
		Owned:   []string{"ip_prefix", "nexthop", "policy", "route_table", "external_ids"},
	},
	{
		Name: nb.LogicalRouterPolicyTable, Late: true,
		Parents: []Parent{{nb.LogicalRouterTable, "policies"}},
		Owned:   []string{"priority", "match", "action", "nexthops", "external_ids"},
		Keys:    []string{"subnet", "node"},
	},
}

var byName = index()

func index() map[string]*Table {
	model, err := nb.FullDatabaseModel()
	if err != nil {
		panic(err) //nolint:forbidigo // inconsistent generated code: no input can cause it
	}
	schema := nb.Schema()
	m := make(map[string]*Table, len(tables))
	for _, t := range tables {
		t.columns = columnsOf(schema.Table(t.Name), model.Types()[t.Name])
		for _, c := range t.Owned {
			if _, ok := t.columns[c]; !ok {
				panic("table " + t.Name + " has no column " + c) //nolint:forbidigo // a mistake in the table above: no input can cause it
			}
		}
		for c := range t.Refers {
			if !t.columns[c].UUID || !slices.Contains(t.Owned, c) {
				panic("column " + c + " of table " + t.Name + " is not an owned reference") //nolint:forbidigo // a mistake in the table above: no input can cause it
			}
		}
		m[t.Name] = t
	}
	return m
}

func columnsOf(schema *ovsdb.TableSchema, typ reflect.Type) map[string]Column {
	cols := map[string]Column{}
	row := typ.Elem()
	for i := range row.NumField() {
		name := row.Field(i).Tag.Get("ovsdb")
		if cs := schema.Column(name); cs != nil && name != "_uuid" {
			isUUID := cs.TypeObj != nil && cs.TypeObj.Key != nil && cs.TypeObj.Key.Type == ovsdb.TypeUUID
			cols[name] = Column{Name: name, index: i, UUID: isUUID, constraint: constraintOf(cs)}
		}
	}
	return cols
}

// TableOf returns a table's description, nil for tables that we do not use.
func TableOf(name string) *Table { return byName[name] }

// Tables returns all tables that we use, parents before children.
func Tables() []*Table { return tables }
