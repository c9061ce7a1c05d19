// SPDX-License-Identifier: Apache-2.0

package model

var policyKinds = []Kind{KindNetworkPolicy, KindAdminNetworkPolicy, KindBaselineAdminNetworkPolicy, KindClusterNetworkPolicy}

// problemReasons explains the reasons of problems.
var problemReasons = []Reason{
	{
		Name: ReasonSubnetInvalid, On: []Kind{KindSubnet},
		Meaning: "A field of the Subnet is invalid, or its addresses overlap those of an older Subnet of the same Vpc, of a node, of the API server, of OVN's databases or a reserved range (ServiceCIDRs, --node-service-cidr, the nodes' Subnet). The last valid state stays in force. An element of acls, natOutgoingPolicyRules, allowSubnets or vips, or an option of DHCP, is left out instead, and the other fields apply.",
		Remedy:  "Correct the field that the message names. For an overlap, choose another cidrBlock, or delete the other Subnet that the message names.",
	},
	{
		Name: ReasonPodInvalid, On: []Kind{KindPod},
		Meaning: "An annotation of the pod does not parse. A pod without an address gets none; the port of a running pod stays as it is.",
		Remedy:  "Correct the annotation that the message names, in the pod template if a workload creates the pod.",
	},
	{
		Name: ReasonNamespaceInvalid, On: []Kind{KindNamespace},
		Meaning: "An annotation of the namespace is invalid, or names a Subnet that does not exist. Pods of the namespace wait if they need that Subnet.",
		Remedy:  "Correct the annotation that the message names, or create the Subnet. With the annotation ovn.kubernetes.io/cidr on the namespace Woven creates it.",
	},
	{
		Name: ReasonNodeInvalid, On: []Kind{KindNode},
		Meaning: "An InternalIP in the Node's status is not an IP address. It is ignored.",
		Remedy:  "Correct the kubelet's --node-ip, or the cloud provider that sets the address.",
	},
	{
		Name: ReasonIPInvalid, On: []Kind{KindIP},
		Meaning: "The IP object has addresses, a MAC or names that do not parse or contradict each other. It reserves nothing.",
		Remedy:  "Correct the field that the message names, or delete the IP object; the record of a running pod is written again.",
	},
	{
		Name: ReasonIPPoolInvalid, On: []Kind{KindIPPool},
		Meaning: "The ranges of the IPPool do not parse, are outside of its Subnet, or overlap those of an older IPPool. No address is allocated from it.",
		Remedy:  "Correct spec.ips or spec.subnet as the message says.",
	},
	{
		Name: ReasonServiceInvalid, On: []Kind{KindService},
		Meaning: "An address, port or annotation of the Service is invalid, or an annotation names a Vpc or Subnet that does not exist. That part is ignored, the rest of the Service works.",
		Remedy:  "Correct the field or annotation that the message names, or create what is missing.",
	},
	{
		Name: ReasonEndpointSliceInvalid, On: []Kind{KindEndpointSlice},
		Meaning: "An address or port of the EndpointSlice does not parse. That endpoint gets no traffic.",
		Remedy:  "Correct it at the component that writes the EndpointSlice; for a Service with a selector that is kube-controller-manager.",
	},
	{
		Name: ReasonPolicyInvalid, On: policyKinds,
		Meaning: "A selector, block, port or annotation of the policy is invalid or not supported. If the policy as a whole is invalid, its last valid state stays in force.",
		Remedy:  "Correct the field that the message names.",
	},
	{
		Name: ReasonPolicyTooLarge, On: []Kind{KindNetworkPolicy},
		Meaning: "The policy has more elements (addresses, selectors and ports) than --max-policy-elements. The rule that the message names and those after it, ingress before egress, allow nothing; what the policy isolates stays isolated.",
		Remedy:  "Use shorter prefixes or fewer ports, split the policy, or raise the limit.",
	},
	{
		Name: ReasonServiceTooLarge, On: []Kind{KindService},
		Meaning: "The Service has more pairs of a frontend (address and port) and a backend than --max-service-backends, more than 1,000 external addresses, or more than 1,000 host names of endpoints. External addresses, the last ports and the last backends are left out until the rest is within the limit.",
		Remedy:  "Find out who creates EndpointSlices for the Service; split the Service, or raise the limit.",
	},
	{
		Name: ReasonInvalidReference, On: []Kind{KindPod, KindSubnet, KindVpc, KindIPPool, KindNamespace, KindNode, KindService},
		Meaning: "The object depends on another object that is invalid. The rows of this object stay as they are until the other one is valid.",
		Remedy:  "Look at the events and conditions of the object that the message names, and correct that one.",
	},
	{
		Name: ReasonAcquireAddressFailed, On: []Kind{KindPod, KindNode, KindIP},
		Meaning: "No address could be allocated: the Subnet, pool or list is exhausted, or the requested address or MAC is taken, reserved for a gateway or outside of the Subnet. The owner waits, and is tried again as soon as an address is released.",
		Remedy:  "If addresses are exhausted, enlarge the Subnet's cidrBlock or the IPPool, bind another Subnet to the namespace, or delete pods. If the address is taken, release it at the holder that the message names, or request another one.",
	},
	{
		Name: ReasonAddressConflict, On: []Kind{KindPod, KindIP, KindService, KindNode},
		Meaning: "An address, port, chassis or IP object that this object claims belongs to another owner, which the message names. A pod gets no port and waits; of a Service that external address or port is not programmed; pods do not reach that address through the Node.",
		Remedy:  "Give one of the two another address, or delete the one that is not needed, such as the IP object of a deleted pod or the Node of a renamed machine. For the address of an API server on a control plane, label the Node node-role.kubernetes.io/control-plane. Nothing has to be restarted.",
	},
	{
		Name: ReasonWaitingForDependency, On: []Kind{KindPod, KindSubnet, KindVpc, KindIPPool, KindNode, KindNamespace, KindService, KindNetworkPolicy},
		Meaning: "A part of what the object needs in the northbound database refers to a row of another object, which is not there. The message names both.",
		Remedy:  "Look at the object that has the row, such as the Vpc of a Subnet, or the Node of a backend: it does not exist, or has a problem itself. woven-check why shows what this object waits for.",
	},
	{
		Name: ReasonVpcNotFound, On: []Kind{KindSubnet},
		Meaning: "There is no Vpc of the name in spec.vpc. Pods of the Subnet get addresses, but no gateway.",
		Remedy:  "Create the Vpc, or correct spec.vpc.",
	},
	{
		Name: ReasonSubnetNotFound, On: []Kind{KindPod, KindIPPool},
		Meaning: "The Subnet that the object names does not exist. The object waits for it.",
		Remedy:  "Create the Subnet, or correct the name: ovn.kubernetes.io/logical_switch on the pod or its namespace, or spec.subnet of the IPPool.",
	},
	{
		Name: ReasonVMRunsElsewhere, On: []Kind{KindPod},
		Meaning: "Another pod runs the same KubeVirt virtual machine and has its address. This pod gets the address when the other one is gone; live migration that keeps the address is not supported.",
		Remedy:  "Wait until the older pod has terminated. If it hangs, delete it.",
	},
	{
		Name: ReasonServiceSourceExhausted, On: []Kind{KindNode},
		Meaning: "The range of --node-service-cidr is too small for the nodes' Subnet: this node has no source address for Services, so processes on the host cannot reach them.",
		Remedy:  "Start the controller with a --node-service-cidr of the same size as --node-switch-cidr, or larger.",
	},
	{
		Name: ReasonSubnetInUse, On: []Kind{KindSubnet},
		Meaning: "The Subnet is being deleted while addresses of it are in use. It keeps working until the last one is released.",
		Remedy:  "Delete the pods and IP objects of the Subnet: kubectl get ip -l ovn.kubernetes.io/subnet=NAME lists them.",
	},
	{
		Name: ReasonIPPoolInUse, On: []Kind{KindIPPool},
		Meaning: "The IPPool is being deleted while addresses of it are in use. It stays until the last one is released.",
		Remedy:  "Delete the pods that have addresses of the pool; the message names one.",
	},
	{
		Name: ReasonVpcInUse, On: []Kind{KindVpc},
		Meaning: "The Vpc is being deleted while Subnets are in it. It stays until the last one is deleted.",
		Remedy:  "Delete the Subnets of the Vpc; status.subnets lists them.",
	},
	{
		Name: ReasonNotSupported, On: append([]Kind{KindSubnet, KindVpc, KindIPPool, KindIP, KindPod, KindNamespace, KindNode, KindService}, unsupportedKindNames()...),
		Meaning: "The object sets a field, an annotation or a label of Kube-OVN that Woven does not support yet, or is of such a kind. It has no effect; the rest of the object works, unless Ready is False.",
		Remedy:  "Remove what the message names, or use another way; the message has one where it exists. The page Compatibility lists everything.",
	},
	{
		Name: ReasonSubnetNotPermitted, On: []Kind{KindPod, KindNamespace},
		Meaning: "The object names a Subnet or an IPPool that is not for its namespace, or describes a Subnet that --namespace-subnet-cidrs does not permit. A pod waits for an address; one that has an address keeps it.",
		Remedy:  "Use a Subnet of the namespace, or have an administrator permit it: spec.namespaces of the Subnet or IPPool, or the annotation ovn.kubernetes.io/allowed_namespaces of the Subnet; for a Subnet that a namespace describes, the flag --namespace-subnet-cidrs of the controller.",
	},
	{
		Name: ReasonPortSecurityRequired, On: []Kind{KindPod, KindNamespace},
		Meaning: "The object asks that pods may send with other addresses than their own, and the Subnet does not permit it. The pods have port security; the request is ignored.",
		Remedy:  "Remove the annotation that the message names, or have an administrator set the annotation ovn.kubernetes.io/port_security of the Subnet to optional, or add the address to its spec.vips.",
	},
	{
		Name: ReasonNoReadyGateway, On: []Kind{KindSubnet},
		Meaning: "No gateway node of the centralized Subnet is ready. The last choice stays; pods of the Subnet may not reach destinations outside the cluster.",
		Remedy:  "Check the nodes in spec.gatewayNode and spec.gatewayNodeSelectors: they must exist, be Ready and run woven-cniserver, which renews a Lease with the label woven/gateway=true.",
	},
	{
		Name: ReasonNorthGatewayUnreachable, On: []Kind{KindPod},
		Meaning: "The address in ovn.kubernetes.io/north_gateway is in no Subnet of the pod's Vpc, so that the router has no route to it. Traffic of the pod takes the gateway of its Subnet.",
		Remedy:  "Use the address of a pod or gateway in a Subnet of the same Vpc, or create that Subnet.",
	},
	{
		Name: ReasonBackendsInOtherVpc, On: []Kind{KindService},
		Meaning: "An endpoint of the Service is in another Vpc than the Service. It gets no traffic, because addresses of different Vpcs may overlap.",
		Remedy:  "Select pods of one Vpc only, or set the Vpc of the Service with ovn.kubernetes.io/logical_router.",
	},
	{
		Name: ReasonNotReachedFromOutside, On: []Kind{KindService},
		Meaning: "The Service is in a Vpc other than the default one. Pods of that Vpc can reach it; its NodePorts and external addresses do not work.",
		Remedy:  "Use type ClusterIP for Services of such a Vpc, or run the pods in the default Vpc.",
	},
	{
		Name: ReasonSourceNotKept, On: []Kind{KindService},
		Meaning: "With externalTrafficPolicy: Local, a backend in a centralized Subnet sees the address of its node instead of the client's, because its replies leave through the gateway node.",
		Remedy:  "Run the backends in a Subnet with gatewayType: distributed if they need the client's address.",
	},
	{
		Name: ReasonConflict, On: []Kind{KindPod, KindSubnet, KindVpc, KindIPPool, KindNode, KindService, KindNetworkPolicy},
		Meaning: "Two objects want different contents for the same row of the northbound database. The older object has the row; the row of this one is not written.",
		Remedy:  "Rename or delete one of the two; the message names the row and the older object.",
	},
	{
		Name: ReasonNameTaken, On: []Kind{KindPod, KindSubnet, KindVpc, KindIPPool, KindNode, KindService, KindNetworkPolicy},
		Meaning: "The northbound database has a row with this name that Woven did not create. It is never changed, so that the row of this object cannot be written.",
		Remedy:  "Remove or rename the row that the message names (ovn-nbctl), or rename the object. After an installation over another network plugin, remove the rows of that one.",
	},
	{
		Name: ReasonDatabaseRefused, On: []Kind{KindPod, KindSubnet, KindVpc, KindIPPool, KindNode, KindService, KindNetworkPolicy},
		Meaning: "The northbound database refused a change of this object. Other objects are not affected; the change is tried again with a growing delay, up to 30 s. A value that the schema forbids is not sent at all: that row stays as it is, and the other rows of the object are written.",
		Remedy:  "Read the error in the message. A constraint violation means that OVN is older than this version of Woven needs, or that a value breaks a rule of the schema: correct the object. Otherwise report a bug with the message.",
	},
	{
		Name: ReasonWriteFailed, On: []Kind{KindPod, KindSubnet, KindVpc, KindIPPool, KindNamespace, KindNode, KindService, KindIP},
		Meaning: "Writing an address, annotation, finalizer or status to the API server failed. It is tried again with a growing delay, up to 30 s.",
		Remedy:  "Read the error in the message. Forbidden means that the RBAC of config/rbac is not up to date; a refusal names the admission webhook or policy that refused.",
	},
}
