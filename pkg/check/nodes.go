// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/ovsdb/sb"
)

// nodes compares the annotations of each node with its IP object and its port.
func (c *comparison) nodes() {
	for _, name := range sortedKeys(c.node) {
		node := c.node[name]
		port := model.NodePortName(name)
		if node.DeletionTimestamp != nil {
			continue
		}
		if node.Annotations[annotations.Allocated] != "true" {
			c.differ(checkAPI, "node %s has no join address: annotation %s is not \"true\"", name, annotations.Allocated)
			continue
		}
		ip, mac := node.Annotations[annotations.IPAddress], node.Annotations[annotations.MACAddress]
		addrs, err := model.ParseAddrs(ip)
		if err != nil {
			c.differ(checkAPI, "node %s: annotation %s: %v", name, annotations.IPAddress, err)
			continue
		}
		record, ok := c.record[port]
		if !ok {
			c.differ(checkAPI, "node %s: address %s is in no IP object: %s is missing", name, ip, port)
		} else if addrsOf(record) != model.AddrsText(addrs) || !strings.EqualFold(record.Spec.MacAddress, mac) {
			c.differ(checkAPI, "node %s: annotations mac_address and ip_address %s %s, IP object %s has %s %s", name, mac, ip, port, record.Spec.MacAddress, addrsOf(record))
		}
		if row, ok := c.ports[port]; ok && addressesOf(row) != portAddresses(strings.ToLower(mac), addrs) {
			c.differ(checkNB, "node %s: annotations mac_address and ip_address %s %s, NB port %s has %s", name, mac, ip, port, addressesOf(row))
		}
	}
}

// bindings compares ports with the southbound database: the chassis of each, and whether it is up.
func (c *comparison) bindings() {
	chassis := map[string]*sb.Chassis{}
	for _, row := range rowsOf[sb.Chassis](c.SB, sb.ChassisTable) {
		chassis[row.UUID] = row
	}
	bindings := map[string]*sb.PortBinding{}
	for _, row := range rowsOf[sb.PortBinding](c.SB, sb.PortBindingTable) {
		bindings[row.LogicalPort] = row
	}
	for _, n := range c.wanted() {
		if port := c.ports[n.port]; port != nil && n.hasContainer {
			c.binding(n.String(), n.pod.Spec.NodeName, port, bindings[n.port], chassis)
		}
	}
	for _, name := range sortedKeys(c.node) {
		if port := c.ports[model.NodePortName(name)]; port != nil && ready(c.node[name]) {
			c.binding("node "+name, name, port, bindings[port.Name], chassis)
		}
	}
	routerPorts := map[string]bool{}
	for _, row := range rowsOf[nb.LogicalRouterPort](c.NB, nb.LogicalRouterPortTable) {
		routerPorts[row.Name] = true
	}
	for _, name := range sortedKeys(bindings) {
		if marked(bindings[name].ExternalIDs) && c.ports[name] == nil && !routerPorts[name] {
			c.differ(checkSB, "SB port binding %s has no NB port", name)
		}
	}
}

func (c *comparison) binding(what, node string, port *nb.LogicalSwitchPort, b *sb.PortBinding, chassis map[string]*sb.Chassis) {
	switch {
	case b == nil:
		c.differ(checkSB, "%s: NB port %s has no port binding in SB", what, port.Name)
		return
	case b.Chassis == nil || chassis[*b.Chassis] == nil:
		c.differ(checkSB, "%s: SB port binding %s has no chassis; the node is %s", what, port.Name, node)
		return
	}
	at := chassis[*b.Chassis]
	wanted := ""
	if object := c.node[node]; object != nil {
		wanted = object.Annotations[annotations.Chassis]
	}
	if at.Hostname != node && (wanted == "" || at.Name != wanted) {
		c.differ(checkSB, "%s: the node is %s, SB port binding %s is on chassis %s of %s", what, node, port.Name, at.Name, at.Hostname)
	}
	if b.Up == nil || !*b.Up {
		c.differ(checkSB, "%s: SB port binding %s is not up", what, port.Name)
	} else if port.Up != nil && !*port.Up {
		// Empty is not false: ovn-northd 25.03 sets the column when the port binding changes. If a port was deleted and
		// created again before northd processed the deletion, the column stays empty although its binding is up.
		c.differ(checkNB, "%s: NB port %s is not up", what, port.Name)
	}
}

func ready(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
