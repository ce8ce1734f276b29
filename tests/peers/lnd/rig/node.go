// One LND: its flags, its gRPC connection, and what the rig asks of it.
package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/macaroons"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"gopkg.in/macaroon.v2"
)

// Every call but a payment answers in milliseconds; a call that does not is a
// node that is still starting.
const callDeadline = 5 * time.Second

type node struct {
	dir, peer, rpc string
	running        *process
	connection     *grpc.ClientConn
}

func newNode(dir, name string) (*node, error) {
	n := &node{dir: filepath.Join(dir, name)}
	var err error
	if n.peer, err = freeAddress(); err != nil {
		return nil, err
	}
	if n.rpc, err = freeAddress(); err != nil {
		return nil, err
	}
	return n, os.MkdirAll(n.dir, 0o700)
}

func (n *node) run(program string, c *chain) (err error) {
	n.running, err = start(n.dir, "lnd", program,
		"--lnddir="+n.dir, "--alias="+filepath.Base(n.dir),
		"--listen="+n.peer, "--rpclisten="+n.rpc, "--norest",
		"--bitcoin.active", "--bitcoin.regtest", "--bitcoin.node=btcd", "--bitcoin.defaultchanconfs=1",
		"--btcd.rpchost="+c.address, "--btcd.rpcuser="+chainUser, "--btcd.rpcpass="+chainPassword,
		"--btcd.rpccert="+c.certificate(),
		"--noseedbackup", "--nobootstrap", "--trickledelay=50",
		"--healthcheck.chainbackend.attempts=0", "--debuglevel=info")
	return err
}

func (n *node) certificate() string { return filepath.Join(n.dir, "tls.cert") }

func (n *node) macaroonDir() string {
	return filepath.Join(n.dir, "data/chain/bitcoin/regtest")
}

func (n *node) connect() (*grpc.ClientConn, error) {
	if n.connection != nil {
		return n.connection, nil
	}
	tls, err := credentials.NewClientTLSFromFile(n.certificate(), "")
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(n.macaroonDir(), "admin.macaroon"))
	if err != nil {
		return nil, err
	}
	var token macaroon.Macaroon
	if err := token.UnmarshalBinary(raw); err != nil {
		return nil, err
	}
	credential, err := macaroons.NewMacaroonCredential(&token)
	if err != nil {
		return nil, err
	}
	n.connection, err = grpc.Dial(n.rpc, grpc.WithTransportCredentials(tls), grpc.WithPerRPCCredentials(credential))
	return n.connection, err
}

// ask makes one call with the deadline on it.
func ask[Q, A any](n *node, call func(lnrpc.LightningClient, context.Context, Q) (A, error), question Q) (A, error) {
	var none A
	connection, err := n.connect()
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	return call(lnrpc.NewLightningClient(connection), ctx, question)
}

func (n *node) info() (*lnrpc.GetInfoResponse, error) {
	return ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.GetInfoRequest) (*lnrpc.GetInfoResponse, error) {
		return l.GetInfo(ctx, q)
	}, &lnrpc.GetInfoRequest{})
}

func (n *node) newAddress() (string, error) {
	a, err := ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.NewAddressRequest) (*lnrpc.NewAddressResponse, error) {
		return l.NewAddress(ctx, q)
	}, &lnrpc.NewAddressRequest{Type: lnrpc.AddressType_NESTED_PUBKEY_HASH})
	return a.GetAddress(), err
}

func (n *node) confirmedBalance() (int64, error) {
	a, err := ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.WalletBalanceRequest) (*lnrpc.WalletBalanceResponse, error) {
		return l.WalletBalance(ctx, q)
	}, &lnrpc.WalletBalanceRequest{})
	return a.GetConfirmedBalance(), err
}

func (n *node) connectTo(key, host string) error {
	_, err := ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.ConnectPeerRequest) (*lnrpc.ConnectPeerResponse, error) {
		return l.ConnectPeer(ctx, q)
	}, &lnrpc.ConnectPeerRequest{Addr: &lnrpc.LightningAddress{Pubkey: key, Host: host}})
	return err
}

func (n *node) openChannel(key string, capacity, push int64) error {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return err
	}
	_, err = ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.OpenChannelRequest) (*lnrpc.ChannelPoint, error) {
		return l.OpenChannelSync(ctx, q)
	}, &lnrpc.OpenChannelRequest{NodePubkey: raw, LocalFundingAmount: capacity, PushSat: push, SatPerVbyte: 2})
	return err
}

func (n *node) activeChannels() (int, error) {
	a, err := ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.ListChannelsRequest) (*lnrpc.ListChannelsResponse, error) {
		return l.ListChannels(ctx, q)
	}, &lnrpc.ListChannelsRequest{ActiveOnly: true})
	return len(a.GetChannels()), err
}

func (n *node) invoice(sat int64) (string, error) {
	a, err := ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.Invoice) (*lnrpc.AddInvoiceResponse, error) {
		return l.AddInvoice(ctx, q)
	}, &lnrpc.Invoice{Value: sat, Memo: "rig"})
	return a.GetPaymentRequest(), err
}

// bake writes l402.macaroon, which permits the calls of docs/guides/lnd.md and no other.
func (n *node) bake() error {
	var permissions []*lnrpc.MacaroonPermission
	for _, call := range []string{
		"/lnrpc.Lightning/AddInvoice", "/lnrpc.Lightning/LookupInvoice", "/lnrpc.Lightning/SubscribeInvoices",
		"/invoicesrpc.Invoices/CancelInvoice", "/lnrpc.Lightning/GetInfo",
	} {
		permissions = append(permissions, &lnrpc.MacaroonPermission{Entity: "uri", Action: call})
	}
	a, err := ask(n, func(l lnrpc.LightningClient, ctx context.Context, q *lnrpc.BakeMacaroonRequest) (*lnrpc.BakeMacaroonResponse, error) {
		return l.BakeMacaroon(ctx, q)
	}, &lnrpc.BakeMacaroonRequest{Permissions: permissions})
	if err != nil {
		return err
	}
	raw, err := hex.DecodeString(a.Macaroon)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.macaroonDir(), "l402.macaroon"), raw, 0o600)
}

// cancel makes an unpaid invoice unpayable.
func (n *node) cancel(hash string) error {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		return err
	}
	connection, err := n.connect()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), callDeadline)
	defer stop()
	_, err = invoicesrpc.NewInvoicesClient(connection).CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: raw})
	return err
}

// pay settles bolt11 and returns its preimage in hex.
func (n *node) pay(bolt11 string) (string, error) {
	connection, err := n.connect()
	if err != nil {
		return "", err
	}
	updates, err := routerrpc.NewRouterClient(connection).SendPaymentV2(context.Background(), &routerrpc.SendPaymentRequest{
		PaymentRequest: bolt11, TimeoutSeconds: 30, FeeLimitSat: 100, NoInflightUpdates: true,
	})
	if err != nil {
		return "", err
	}
	for {
		payment, err := updates.Recv()
		if err != nil {
			return "", err
		}
		switch payment.Status {
		case lnrpc.Payment_SUCCEEDED:
			return payment.PaymentPreimage, nil
		case lnrpc.Payment_FAILED:
			return "", fmt.Errorf("payment failed: %v", payment.FailureReason)
		}
	}
}
