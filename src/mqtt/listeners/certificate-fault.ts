/** Why a client certificate does not hold, in words that tell the operator what to do. */
import type tls from 'node:tls';

const faults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'the client certificate has expired',
  CERT_NOT_YET_VALID: 'the client certificate is not valid yet',
  CERT_REVOKED: 'the client certificate is revoked',
  UNABLE_TO_GET_ISSUER_CERT: 'the client certificate is of an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the client certificate is of an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the client certificate is of an authority that is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'the client certificate is of an authority that is not trusted',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the client certificate is self-signed',
  CERT_SIGNATURE_FAILURE: 'the client certificate is not signed by the authority that it names',
  INVALID_PURPOSE: 'the certificate is not one for clients',
  UNABLE_TO_GET_CRL: 'there is no revocation list of the authority of the client certificate (crl)',
  CRL_HAS_EXPIRED: 'the revocation list has expired (crl): make a new one',
  CRL_NOT_YET_VALID: 'the revocation list is not valid yet (crl)',
  CRL_SIGNATURE_FAILURE: 'the revocation list is not signed by the authority that it names (crl)',
};

/**
 * Why a client may not come in by what it presented in the handshake; undefined: it may. Where a certificate is optional there may be none,
 * but not one that does not hold. Sessions are never resumed here, so that `authorized` speaks of this handshake.
 */
export function certificateFault(
  socket: tls.TLSSocket,
  demanded: 'none' | 'optional' | 'required',
): string | undefined {
  if (demanded === 'none') return undefined;
  // null where the socket is gone already, whatever the types say.
  const presented = socket.getPeerCertificate() as tls.PeerCertificate | null;
  if (presented?.raw === undefined)
    return demanded === 'required' ? 'the client did not present a certificate' : undefined;
  if (socket.authorized) return undefined;
  // A string, whatever the types say.
  const code = String(socket.authorizationError);
  return faults[code] ?? `the client certificate does not hold: ${code}`;
}
