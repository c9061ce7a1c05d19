// SPDX-License-Identifier: Apache-2.0

package model

// Reasons of events and conditions, in CamelCase. Where Kube-OVN has a reason for the same thing, its name is used here
// too. [Reasons] explains each; a test checks that the code uses these constants and no other reasons.
const (
	ReasonSubnetInvalid        = "ValidateLogicalSwitchFailed"
	ReasonPodInvalid           = "ValidatePodNetworkFailed"
	ReasonNamespaceInvalid     = "ValidateNamespaceFailed"
	ReasonNodeInvalid          = "ValidateNodeFailed"
	ReasonIPInvalid            = "ValidateIPFailed"
	ReasonIPPoolInvalid        = "ValidateIPPoolFailed"
	ReasonServiceInvalid       = "ValidateServiceFailed"
	ReasonEndpointSliceInvalid = "ValidateEndpointSliceFailed"
	ReasonPolicyInvalid        = "ValidateNetworkPolicyFailed"
	ReasonPolicyTooLarge       = "PolicyTooLarge"
	ReasonServiceTooLarge      = "ServiceTooLarge"
	ReasonVpcInvalid           = "ValidateVpcFailed"
	ReasonInvalidReference     = "InvalidReference"

	ReasonAcquireAddressFailed   = "AcquireAddressFailed"
	ReasonAddressConflict        = "AddressConflict"
	ReasonSubnetNotFound         = "SubnetNotFound"
	ReasonVpcNotFound            = "VpcNotFound"
	ReasonVMRunsElsewhere        = "VirtualMachineRunsElsewhere"
	ReasonServiceSourceExhausted = "ServiceSourceExhausted"

	ReasonSubnetInUse = "SubnetInUse"
	ReasonIPPoolInUse = "IPPoolInUse"
	ReasonVpcInUse    = "VpcInUse"

	ReasonNotSupported            = "NotSupported"
	ReasonSubnetNotPermitted      = "SubnetNotPermitted"
	ReasonPortSecurityRequired    = "PortSecurityRequired"
	ReasonNoReadyGateway          = "NoReadyGateway"
	ReasonNorthGatewayUnreachable = "NorthGatewayUnreachable"
	ReasonGatewayMoved            = "GatewayMoved"

	ReasonBackendsInOtherVpc    = "BackendsInOtherVpc"
	ReasonNotReachedFromOutside = "NotReachedFromOutside"
	ReasonSourceNotKept         = "SourceNotKept"

	ReasonConflict        = "Conflict"
	ReasonNameTaken       = "NameTaken"
	ReasonDatabaseRefused = "DatabaseRefused"
	ReasonDriftRepaired   = "DriftRepaired"
	ReasonWriteFailed     = "WriteFailed"

	ReasonWaitingForDependency = "WaitingForDependency"

	ReasonNotFound = "NotFound"

	ReasonSubnetValidated = "ValidateLogicalSwitchSuccess"
	ReasonSubnetPrivate   = "SetPrivateLogicalSwitchSuccess"
	ReasonSubnetOpen      = "ResetLogicalSwitchAclSuccess"
	ReasonIPPoolValidated = "ValidateIPPoolSuccess"
	ReasonIPPoolReady     = "UpdateIPAMSucceeded"
	ReasonVpcValidated    = "ValidateVpcSuccess"
	ReasonVpcProgrammed   = "VpcProgrammed"
	ReasonWaiting         = "WaitingForNorthbound"
	ReasonResolved        = "Resolved"
	ReasonNodeReachable   = "JoinSubnetGatewayReachable"
	ReasonNodeUnreachable = "JoinSubnetGatewayUnreachable"

	ReasonHostNetworkIncomplete = "HostNetworkIncomplete"
)

// ReasonClass is where a reason appears.
type ReasonClass int

const (
	// ReasonOfProblem appears in a Warning event; on a Subnet, Vpc or IPPool also in the conditions Ready and Error.
	ReasonOfProblem ReasonClass = iota
	// ReasonOfCondition appears in a condition only.
	ReasonOfCondition
	// ReasonOfEvent appears in an event only.
	ReasonOfEvent
	// ReasonOfAdmission appears in the log of the webhook only; its response has the message.
	ReasonOfAdmission
)

// Reason explains a reason to operators.
type Reason struct {
	Name  string
	Class ReasonClass
	// On lists the kinds that get the event or condition.
	On []Kind
	// Condition is the condition of a [ReasonOfCondition], as "Type=Status".
	Condition string
	Meaning   string
	// Remedy is what to do; empty if nothing has to be done.
	Remedy string
}

// Reasons explains every reason, in the order in which the reference lists them.
var Reasons = append(problemReasons, otherReasons...)
