// SPDX-License-Identifier: Apache-2.0

package model

// otherReasons explains the reasons that are not those of problems.
var otherReasons = []Reason{
	{
		Name: ReasonSubnetValidated, Class: ReasonOfCondition, On: []Kind{KindSubnet}, Condition: "Validated=True",
		Meaning: "The spec of the Subnet passed every check.",
	},
	{
		Name: ReasonSubnetPrivate, Class: ReasonOfCondition, On: []Kind{KindSubnet}, Condition: "Ready=True",
		Meaning: "All rows of the Subnet are in the northbound database; spec.private isolates it.",
	},
	{
		Name: ReasonSubnetOpen, Class: ReasonOfCondition, On: []Kind{KindSubnet}, Condition: "Ready=True",
		Meaning: "All rows of the Subnet are in the northbound database; it is not private.",
	},
	{
		Name: ReasonIPPoolValidated, Class: ReasonOfCondition, On: []Kind{KindIPPool}, Condition: "Validated=True",
		Meaning: "The spec of the IPPool passed every check.",
	},
	{
		Name: ReasonIPPoolReady, Class: ReasonOfCondition, On: []Kind{KindIPPool}, Condition: "Ready=True",
		Meaning: "Addresses are allocated from the IPPool, and its address set, if it has one, is in the northbound database.",
	},
	{
		Name: ReasonVpcValidated, Class: ReasonOfCondition, On: []Kind{KindVpc}, Condition: "Validated=True",
		Meaning: "The spec of the Vpc passed every check.",
	},
	{
		Name: ReasonVpcProgrammed, Class: ReasonOfCondition, On: []Kind{KindVpc}, Condition: "Ready=True",
		Meaning: "All rows of the Vpc are in the northbound database.",
	},
	{
		Name: ReasonWaiting, Class: ReasonOfCondition, On: []Kind{KindSubnet, KindVpc, KindIPPool}, Condition: "Ready=False",
		Meaning: "The rows of the object are not yet in the northbound database.",
		Remedy:  "If this lasts for more than a few seconds, check that the controller is ready (/readyz), that one replica leads (woven_leading) and that the northbound database is connected (woven_nb_connected).",
	},
	{
		Name: ReasonResolved, Class: ReasonOfCondition, On: []Kind{KindSubnet, KindVpc, KindIPPool}, Condition: "Error=False",
		Meaning: "The object had a problem, which is resolved.",
	},
	{
		Name: ReasonNodeReachable, Class: ReasonOfCondition, On: []Kind{KindNode}, Condition: "NetworkUnavailable=False",
		Meaning: "The gateway of the join Subnet replies to the node's pings through ovn0.",
	},
	{
		Name: ReasonNodeUnreachable, Class: ReasonOfCondition, On: []Kind{KindNode}, Condition: "NetworkUnavailable=True",
		Meaning: "The gateway of the join Subnet does not reply to the node's pings through ovn0. The node gets no new pods.",
		Remedy:  "Check on the node that ovn-controller and ovs-vswitchd run and are connected to the southbound database, and that the controller has created the port node-NAME (ovn-nbctl show join). The log of woven-cniserver names what is missing.",
	},
	{
		Name: ReasonHostNetworkIncomplete, Class: ReasonOfEvent, On: []Kind{KindNode},
		Meaning: "This node leaves out a part of what Subnets, ServiceCIDRs or annotations describe; the message names the object and the cause. Among others, a node never makes a route, routing rule or NAT that takes traffic between it and its API servers, its own addresses or OVN's databases.",
		Remedy:  "Correct the object. What worked before stays.",
	},
	{
		Name: ReasonGatewayMoved, Class: ReasonOfEvent, On: []Kind{KindSubnet},
		Meaning: "Traffic of a centralized Subnet now leaves through other gateway nodes; the message names the nodes and the cause. The event is a Warning if a node failed, else Normal.",
		Remedy:  "For a lost heartbeat or a node that is not ready, check that node and its woven-cniserver. Established connections through the old node have to be opened again.",
	},
	{
		Name: ReasonDriftRepaired, Class: ReasonOfEvent, On: []Kind{KindPod, KindSubnet, KindVpc, KindIPPool, KindNode, KindService, KindNetworkPolicy},
		Meaning: "Something other than Woven changed rows of this object in the northbound database, and the change was reverted. At most one event per object and minute.",
		Remedy:  "Find out who changed the database: a person with ovn-nbctl, a second controller, or another network plugin. Rows without Woven's mark in external_ids are left alone.",
	},
	{
		Name: ReasonNotFound, Class: ReasonOfAdmission, On: []Kind{KindPod, KindNamespace, KindIP, KindIPPool, KindSubnet, KindVpc},
		Meaning: "The object names another object that does not exist yet. The webhook returns a warning and admits the object, which waits.",
		Remedy:  "Create the missing object, or correct the name.",
	},
	{
		Name: ReasonVpcInvalid, Class: ReasonOfAdmission, On: []Kind{KindVpc},
		Meaning: "The Vpc has the name of a Subnet, so that a router and a switch of OVN have the same name. The webhook returns a warning and admits the Vpc.",
		Remedy:  "Use another name for one of the two.",
	},
}
