// SPDX-License-Identifier: Apache-2.0

package crd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/wovensdn/woven/config/crd"
)

// objects returns the CRDs by kind, in the internal version with defaults set,
// as an API server holds them.
func objects(t *testing.T) map[string]*apiextensions.CustomResourceDefinition {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	crds, err := crd.Objects()
	if err != nil {
		t.Fatal(err)
	}
	byKind := map[string]*apiextensions.CustomResourceDefinition{}
	for _, c := range crds {
		scheme.Default(c)
		c.Status.StoredVersions = []string{"v1"}
		internal := &apiextensions.CustomResourceDefinition{}
		if err := scheme.Convert(c, internal, nil); err != nil {
			t.Fatalf("convert %s: %v", c.Name, err)
		}
		byKind[c.Spec.Names.Kind] = internal
	}
	return byKind
}

// TestDefinitionsAreAccepted runs what an API server runs when a CRD is
// created: the schema is structural, CEL rules compile and are cheap enough.
func TestDefinitionsAreAccepted(t *testing.T) {
	for kind, c := range objects(t) {
		if errs := apivalidation.ValidateCustomResourceDefinition(t.Context(), c); len(errs) > 0 {
			t.Errorf("%s: %v", kind, errs.ToAggregate())
		}
		if _, err := schema.NewStructural(c.Spec.Validation.OpenAPIV3Schema); err != nil {
			t.Errorf("%s: schema is not structural: %v", kind, err)
		}
	}
}

// TestNamesAndColumns asserts the parts of the definitions that people type and
// see: they are those of Kube-OVN.
func TestNamesAndColumns(t *testing.T) {
	want := map[string]string{
		"Subnet": `subnets subnet [subnet] Cluster status
Provider=.spec.provider(string) Vpc=.spec.vpc(string) Vlan=.spec.vlan(string) Protocol=.spec.protocol(string) CIDR=.spec.cidrBlock(string)
Private=.spec.private(boolean) NAT=.spec.natOutgoing(boolean) Default=.spec.default(boolean) GatewayType=.spec.gatewayType(string)
V4Used=.status.v4usingIPs(number) V4Available=.status.v4availableIPs(number) V6Used=.status.v6usingIPs(number)
V6Available=.status.v6availableIPs(number) ExcludeIPs=.spec.excludeIps(string) U2OInterconnectionIP=.status.u2oInterconnectionIP(string)`,
		"IP": `ips ip [ip] Cluster -
V4IP=.spec.v4IpAddress(string) V6IP=.spec.v6IpAddress(string) Mac=.spec.macAddress(string) Node=.spec.nodeName(string) Subnet=.spec.subnet(string)`,
		"IPPool": `ippools ippool [ippool] Cluster status
Subnet=.spec.subnet(string) enableAddressSet=.spec.enableAddressSet(boolean) IPs=.spec.ips(string) V4Used=.status.v4UsingIPs(number)
V4Available=.status.v4AvailableIPs(number) V6Used=.status.v6UsingIPs(number) V6Available=.status.v6AvailableIPs(number)`,
		"Vpc": `vpcs vpc [vpc] Cluster status
EnableExternal=.status.enableExternal(boolean) EnableBfd=.status.enableBfd(boolean) Standby=.status.standby(boolean)
Subnets=.status.subnets(string) ExtraExternalSubnets=.status.extraExternalSubnets(string) Namespaces=.spec.namespaces(string)
DefaultSubnet=.status.defaultLogicalSwitch(string) Age=.metadata.creationTimestamp(date)`,
		"Vlan": `vlans vlan [vlan] Cluster status
ID=.spec.id(string) Provider=.spec.provider(string) conflict=.status.conflict(boolean)`,
		"ProviderNetwork": `provider-networks provider-network [pn] Cluster status
DefaultInterface=.spec.defaultInterface(string) Ready=.status.ready(boolean)`,
	}
	crds, err := crd.Objects()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range crds {
		got[c.Spec.Names.Kind] = surface(c)
	}
	for kind := range want {
		want[kind] = strings.Join(strings.Fields(want[kind]), " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// surface renders names, scope, subresources and printer columns of a CRD.
func surface(c *apiextensionsv1.CustomResourceDefinition) string {
	v := c.Spec.Versions[0]
	n := c.Spec.Names
	out := []string{n.Plural, n.Singular, fmt.Sprint(n.ShortNames), string(c.Spec.Scope)}
	if v.Subresources != nil && v.Subresources.Status != nil {
		out = append(out, "status")
	} else {
		out = append(out, "-")
	}
	for _, col := range v.AdditionalPrinterColumns {
		out = append(out, fmt.Sprintf("%s=%s(%s)", col.Name, col.JSONPath, col.Type))
	}
	return strings.Join(out, " ")
}

// TestFields asserts name and type of every field, required ones marked "!" and
// defaults with "=": the schema is that of Kube-OVN.
func TestFields(t *testing.T) {
	want := map[string]string{
		"Subnet": `spec.acls[].action!:string spec.acls[].direction!:string spec.acls[].match!:string spec.acls[].priority:integer
spec.allowEWTraffic:boolean spec.allowSubnets[]:string spec.cidrBlock:string spec.default:boolean spec.dhcpV4Options:string spec.dhcpV6Options:string
spec.disableGatewayCheck:boolean spec.disableInterConnection:boolean spec.enableDHCP:boolean spec.enableEcmp:boolean spec.enableExternalLBAddress:boolean
spec.enableIPv6RA:boolean spec.enableLb:boolean spec.enableMulticastSnoop:boolean spec.excludeIps[]:string spec.externalEgressGateway:string
spec.gateway:string spec.gatewayNode:string spec.gatewayNodeSelectors[]:selector spec.gatewayType:string spec.ipv6RAConfigs:string
spec.logicalGateway:boolean spec.mtu:integer/int32 spec.namespaceSelectors[]:selector spec.namespaces[]:string spec.natOutgoing:boolean
spec.natOutgoingPolicyRules[].action:string spec.natOutgoingPolicyRules[].match.dstIPs:string spec.natOutgoingPolicyRules[].match.srcIPs:string
spec.nodeNetwork:string spec.policyRoutingPriority:integer/int32 spec.policyRoutingTableID:integer/int32 spec.private:boolean spec.protocol:string
spec.provider:string spec.routeTable:string spec.u2oFeatures.overlayOnlyRouting:boolean spec.u2oInterconnection:boolean spec.u2oInterconnectionIP:string
spec.vips[]:string spec.vlan:string spec.vpc:string
status.activateGateway:string CONDITIONS status.dhcpV4OptionsUUID:string status.dhcpV6OptionsUUID:string status.mcastQuerierIP:string
status.mcastQuerierMAC:string status.natOutgoingPolicyRules[].action:string status.natOutgoingPolicyRules[].match.dstIPs:string
status.natOutgoingPolicyRules[].match.srcIPs:string status.natOutgoingPolicyRules[].ruleID:string status.u2oInterconnectionIP:string
status.u2oInterconnectionMAC:string status.u2oInterconnectionVPC:string status.v4availableIPrange:string status.v4availableIPs:number
status.v4usingIPrange:string status.v4usingIPs:number status.v6availableIPrange:string status.v6availableIPs:number status.v6usingIPrange:string
status.v6usingIPs:number`,
		"IP": `spec.attachIps[]:string spec.attachMacs[]:string spec.attachSubnets[]:string spec.containerID:string spec.ipAddress:string
spec.macAddress:string spec.namespace:string spec.nodeName:string spec.podName:string spec.podType:string spec.subnet:string spec.v4IpAddress:string
spec.v6IpAddress:string`,
		"IPPool": `spec.enableAddressSet:boolean=false spec.ips!:array spec.ips[]:string spec.namespaces[]:string spec.subnet!:string CONDITIONS
status.v4AvailableIPRange:string status.v4AvailableIPs:number status.v4UsingIPRange:string status.v4UsingIPs:number status.v6AvailableIPRange:string
status.v6AvailableIPs:number status.v6UsingIPRange:string status.v6UsingIPs:number`,
		"Vpc": `spec.bfdPort.enabled:boolean=false spec.bfdPort.ip:string spec.bfdPort.nodeSelector:selector spec.defaultSubnet:string spec.enableBfd:boolean
spec.enableExternal:boolean spec.extraExternalSubnets[]:string spec.namespaces[]:string spec.policyRoutes[].action:string spec.policyRoutes[].match:string
spec.policyRoutes[].nextHopIP:string spec.policyRoutes[].priority:integer spec.staticRoutes[].bfdId:string spec.staticRoutes[].cidr:string
spec.staticRoutes[].ecmpMode:string spec.staticRoutes[].nextHopIP:string spec.staticRoutes[].policy:string spec.staticRoutes[].routeTable:string
spec.vpcPeerings[].localConnectIP:string spec.vpcPeerings[].remoteVpc:string
status.bfdPort.ip:string status.bfdPort.name:string status.bfdPort.nodes[]:string CONDITIONS status.default:boolean status.defaultLogicalSwitch:string
status.enableBfd:boolean status.enableExternal:boolean status.extraExternalSubnets[]:string status.router:string status.sctpLoadBalancer:string
status.sctpSessionLoadBalancer:string status.standby:boolean status.subnets[]:string status.tcpLoadBalancer:string status.tcpSessionLoadBalancer:string
status.udpLoadBalancer:string status.udpSessionLoadBalancer:string status.vpcPeerings[]:string`,
		"Vlan": `spec.id:integer spec.provider!:string spec.providerInterfaceName:string spec.vlanId:integer CONDITIONS status.conflict:boolean
status.subnets[]:string`,
		"ProviderNetwork": `spec.autoCreateVlanSubinterfaces:boolean spec.customInterfaces[].interface:string spec.customInterfaces[].nodes[]:string
spec.defaultInterface!:string spec.excludeNodes[]:string spec.exchangeLinkName:boolean spec.nodeSelector:selector spec.preserveVlanInterfaces:boolean
spec.vlanInterfaces[]:string CONDITIONS status.conditions[].node:string status.notReadyNodes[]:string status.ready:boolean status.readyNodes[]:string
status.vlans[]:string`,
	}
	const conditions = `status.conditions[].lastTransitionTime:string/date-time status.conditions[].lastUpdateTime:string/date-time
status.conditions[].message:string status.conditions[].observedGeneration:integer/int64 status.conditions[].reason:string
status.conditions[].status!:string status.conditions[].type!:string`
	for kind, c := range objects(t) {
		got := map[string]bool{}
		fields(got, "", *c.Spec.Validation.OpenAPIV3Schema)
		wanted := map[string]bool{}
		for _, f := range strings.Fields(strings.Replace(want[kind], "CONDITIONS", conditions, 1)) {
			wanted[f] = true
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

// fields adds the fields below a schema to out, as path, "!", ":" type.
func fields(out map[string]bool, path string, s apiextensions.JSONSchemaProps) {
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	for name, p := range s.Properties {
		if path == "" {
			if name == "spec" || name == "status" {
				fields(out, name+".", p)
			}
			continue
		}
		mark := ""
		if required[name] {
			mark = "!"
		}
		oneField(out, path+name, mark, p)
	}
}

func oneField(out map[string]bool, path, mark string, s apiextensions.JSONSchemaProps) {
	_, isSelector := s.Properties["matchLabels"]
	switch {
	case s.Type == "array":
		if mark != "" {
			out[path+mark+":array"] = true
		}
		oneField(out, path+"[]", "", *s.Items.Schema)
	case isSelector:
		out[path+mark+":selector"] = true
	case s.Type == "object":
		fields(out, path+".", s)
	default:
		text := path + mark + ":" + s.Type
		if s.Format != "" {
			text += "/" + s.Format
		}
		if s.Default != nil {
			text += fmt.Sprintf("=%v", *s.Default)
		}
		out[text] = true
	}
}

// TestEveryFieldIsDescribed keeps "kubectl explain" useful.
func TestEveryFieldIsDescribed(t *testing.T) {
	for kind, c := range objects(t) {
		s := *c.Spec.Validation.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			undescribed(t, kind+"."+part, s.Properties[part])
		}
	}
}

func undescribed(t *testing.T, path string, s apiextensions.JSONSchemaProps) {
	t.Helper()
	for name, p := range s.Properties {
		if p.Description == "" {
			t.Errorf("%s.%s has no description", path, name)
		}
		undescribed(t, path+"."+name, p)
	}
	if s.Items != nil && s.Items.Schema != nil {
		undescribed(t, path+"[]", *s.Items.Schema)
	}
}
